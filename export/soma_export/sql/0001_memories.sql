-- What the log has made of each memory, of each link, and what it was made from.

CREATE TABLE namespaces (
    name text PRIMARY KEY,
    registration jsonb NOT NULL,
    event_id uuid NOT NULL,
    at double precision NOT NULL
);

-- A row without a payload is a tombstone: version and position outlive the record.
CREATE TABLE memories (
    namespace text NOT NULL,
    id uuid NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    topic_id text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    coordinate double precision[],
    payload jsonb,
    memory_type text CHECK (memory_type IN ('episodic', 'semantic')),
    "timestamp" double precision,
    importance bigint,
    text text,
    tags text[],
    pinned boolean,
    expires_at double precision,
    embedding double precision[],
    model_revision text,
    extras jsonb,
    trace_at double precision,
    trace double precision[],
    n_recalls bigint,
    last_recalled double precision,
    deleted_at double precision,
    delete_reason text,
    deleted_into uuid,
    PRIMARY KEY (namespace, id),
    CHECK ((payload IS NULL) = (deleted_at IS NOT NULL)),
    CHECK ((embedding IS NULL) = (model_revision IS NULL))
);
CREATE INDEX memories_by_payload ON memories USING gin (payload jsonb_path_ops);
CREATE INDEX memories_by_time ON memories USING brin ("timestamp");

-- Ends may be absent or deleted: such a link is kept, and hidden when it is read.
CREATE TABLE memory_links (
    namespace text NOT NULL,
    source uuid NOT NULL,
    target uuid NOT NULL,
    type text NOT NULL,
    weight double precision NOT NULL CHECK (weight > 0),
    at double precision NOT NULL,
    topic_id text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    PRIMARY KEY (namespace, source, target, type)
);
CREATE INDEX memory_links_by_target ON memory_links (namespace, target);

-- The audit: every event that was taken, once, with what it did.
CREATE TABLE memory_events (
    event_id uuid PRIMARY KEY,
    type text NOT NULL,
    namespace text NOT NULL,
    record_id uuid NOT NULL,
    at double precision NOT NULL,
    cause_id uuid,
    effect text NOT NULL,
    topic_id text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    body jsonb NOT NULL
);
CREATE INDEX memory_events_by_record ON memory_events (namespace, record_id);
CREATE INDEX memory_events_by_time ON memory_events USING brin (at);

-- Where each projection stands: moved in the transaction of the effects, so that each takes effect once.
CREATE TABLE cursors (
    consumer_group text NOT NULL,
    topic_id text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL CHECK (next_offset >= 0),
    moved_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer_group, topic_id, partition)
);

-- What could not be taken, as it came.
CREATE TABLE dead_letters (
    topic_id text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    consumer_group text NOT NULL,
    key bytea,
    value bytea,
    headers jsonb NOT NULL,
    stage text NOT NULL,
    reason text NOT NULL,
    attempts integer NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now(),
    retried_at timestamptz,
    PRIMARY KEY (topic_id, partition, "offset", consumer_group)
);
