-- The role of supstream with the least rights that do: it reads, and it has a replication slot. It owns nothing and can change nothing.
-- Run with psql by an administrator of the mirror, in the mirror's database, when the tables are there. SUPSTREAM_PASSWORD_FILE names a file with
-- the password. With row-level security on the mirror's tables the role needs BYPASSRLS too: without it loads fail, they are never empty by mistake.
\set ON_ERROR_STOP on
\set password `cat "$SUPSTREAM_PASSWORD_FILE"`

BEGIN;
CREATE ROLE supstream LOGIN REPLICATION PASSWORD :'password';
GRANT USAGE ON SCHEMA public TO supstream;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO supstream;

-- Only the owner of tables can publish them, so the publication is made here. On a mirror with more tables than the catalogue lists, make it from the
-- statement that `supstream check` prints: what is not in the publication does not leave the database.
CREATE PUBLICATION supstream FOR TABLES IN SCHEMA public WITH (publish_via_partition_root = true);
COMMIT;
