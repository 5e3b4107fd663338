-- A reader sees the namespace that its session names (SET soma.namespace = 'lab'), and without one nothing.
-- The owner, who writes, is not held by the policies.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'soma_reader') THEN
        CREATE ROLE soma_reader NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;  -- another database of this cluster was quicker
END
$$;

ALTER TABLE namespaces ENABLE ROW LEVEL SECURITY;
ALTER TABLE memories ENABLE ROW LEVEL SECURITY;
ALTER TABLE memory_links ENABLE ROW LEVEL SECURITY;
ALTER TABLE memory_events ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_namespace ON namespaces FOR SELECT TO soma_reader
    USING (name = current_setting('soma.namespace', true));
CREATE POLICY own_namespace ON memories FOR SELECT TO soma_reader
    USING (namespace = current_setting('soma.namespace', true));
CREATE POLICY own_namespace ON memory_links FOR SELECT TO soma_reader
    USING (namespace = current_setting('soma.namespace', true));
CREATE POLICY own_namespace ON memory_events FOR SELECT TO soma_reader
    USING (namespace = current_setting('soma.namespace', true));

DO $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO soma_reader', current_schema());
END
$$;
GRANT SELECT ON namespaces, memories, memory_links, memory_events TO soma_reader;
