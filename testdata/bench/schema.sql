-- The table of the bench and what loads it. A row is about 300 bytes.
--
--   W1  CALL indsaet(1, 1000000, 100)     1,000,000 inserts in transactions of 100
--   W2  CALL indsaet(1, 1000000, 1000)    before the clock starts, then
--       CALL opdater(1, 500000, 10)       500,000 updates in transactions of 10, under REPLICA IDENTITY FULL
--   W3  CALL indsaet(1, 1000000, 1000000) 1,000,000 inserts in one transaction
--
-- Everything follows from the number of the row: two loads are equal on every machine.

DROP TABLE IF EXISTS aktivitet CASCADE;

CREATE TABLE aktivitet (
    id             uuid          NOT NULL PRIMARY KEY,
    person_id      uuid          NOT NULL,
    kommune_kode   integer       NOT NULL,
    akasse_kode    integer,
    aktivitetstype text          NOT NULL,
    status         text          NOT NULL,
    startdato      date          NOT NULL,
    slutdato       date,
    timer          numeric(6,2)  NOT NULL,
    beskrivelse    text          NOT NULL,
    opdateret      timestamptz   NOT NULL
);

ALTER TABLE aktivitet REPLICA IDENTITY FULL;

-- Row number i: 760 kommune codes from 101, every third citizen in no a-kasse, 40,000 citizens, every other activity open.
CREATE OR REPLACE FUNCTION raekke(i integer) RETURNS aktivitet LANGUAGE sql IMMUTABLE AS $$
    SELECT (
        md5(i::text)::uuid,
        md5('borger ' || i % 40000)::uuid,
        101 + i % 760,
        CASE WHEN i % 3 > 0 THEN 1 + i % 24 END,
        (ARRAY['praktik i virksomhed', 'løntilskud', 'samtale', 'opkvalificering', 'mentorstøtte', 'nytteindsats'])[1 + i % 6],
        (ARRAY['planlagt', 'i gang', 'afsluttet', 'afbrudt'])[1 + i % 4],
        date '2024-01-01' + i % 700,
        CASE WHEN i % 2 > 0 THEN date '2024-02-01' + i % 700 END,
        (1 + i % 3700 / 100.0)::numeric(6,2),
        'Forløbet er aftalt med borgeren og virksomheden. Jobcentret følger op hver fjerde uge, og målet er ansættelse på særlige eller ordinære vilkår. Nr. '
            || lpad(i::text, 9, '0'),
        timestamptz '2026-01-01 07:00:00+00' + i * interval '1 millisecond'
    )::aktivitet
$$;

-- Rows fra to til, pr rows in a transaction.
CREATE OR REPLACE PROCEDURE indsaet(fra integer, til integer, pr integer) LANGUAGE plpgsql AS $$
BEGIN
    FOR foerste IN fra .. til BY pr LOOP
        INSERT INTO aktivitet
        SELECT r.* FROM generate_series(foerste, least(foerste + pr - 1, til)) AS i CROSS JOIN LATERAL raekke(i) AS r;
        COMMIT;
    END LOOP;
END
$$;

-- Updates rows fra to til, pr rows in a transaction. No owner changes.
CREATE OR REPLACE PROCEDURE opdater(fra integer, til integer, pr integer) LANGUAGE plpgsql AS $$
BEGIN
    FOR foerste IN fra .. til BY pr LOOP
        UPDATE aktivitet AS a
           SET status = 'afsluttet', timer = a.timer + 0.25, opdateret = a.opdateret + interval '1 day'
          FROM generate_series(foerste, least(foerste + pr - 1, til)) AS i
         WHERE a.id = md5(i::text)::uuid;
        COMMIT;
    END LOOP;
END
$$;
