"""Real servers on this machine without Docker: Apache Kafka and PostgreSQL, for users and for tests alike.

`kafka` and `postgres` find and run one server each; `stack` runs both and remembers them in a folder.
"""

from __future__ import annotations

__all__: list[str] = []
