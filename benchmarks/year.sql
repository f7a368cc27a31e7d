-- A year of snapshots, as statements that benchmarks/year.py runs one by one: accounts, the steps of
-- their jobs, the versions that come of them, and what loading would have derived from those.

CREATE TEMP TABLE made AS SELECT
    k AS account_key, 1 + k % :integrations AS integration_id, 'user' || k AS username_in_app,
    CASE WHEN hash(k) % 20 > 0 THEN 'First' || hash(k, 1) % 5000 || ' Last' || hash(k, 2) % 9000 END AS user_name,
    CASE WHEN hash(k) % 20 > 0 THEN 'user' || k || '@example.com' END AS user_email,
    list_sort(list_distinct(['Role ' || hash(k, 3) % 40, 'Role ' || hash(k, 4) % 40,
        CASE WHEN hash(k, 5) % 200 = 0 THEN 'Admin' ELSE 'Role ' || hash(k, 6) % 40 END])) AS roles,
    CASE hash(k, 7) % 12 WHEN 0 THEN false WHEN 1 THEN NULL ELSE true END AS active_in_app,
    'up-' || hash(k, 8) % (5 * :accounts) AS upstream_user_id
FROM range(:accounts) AS every(k);

CREATE TEMP TABLE step AS
WITH job AS (
    SELECT account_key, (hash(account_key, n, 'w') % 1000000)::INT AS chance,
        (1 + hash(account_key, n) % (:days - 3))::INT AS day,
        ['Update', 'Update', 'Update', 'Delete', 'Provisioning'][(1 + hash(account_key, n, 'o') % 5)::INT] AS job
    FROM made, range(1, 1 + :jobs) AS jobs(n) WHERE hash(account_key, n, 'j') % 100 < 41
), took AS (
    SELECT *, day + 1 AS starts, day + 2 + (chance % 3) * (chance // 7 % 4) AS ends,
        chance % 100 < 15 AS fails FROM job
), told AS (
    SELECT account_key, 0 AS day, CASE WHEN hash(account_key, 'i') % 20 > 0 THEN 'Onboarded' ELSE 'Deleted' END AS state FROM made
    UNION ALL SELECT account_key, day, job || ' awaiting' FROM took
    UNION ALL SELECT account_key, starts, job || ' ongoing' FROM took WHERE chance % 50 > 0
    UNION ALL SELECT account_key, ends, CASE WHEN fails THEN job || ' failed' WHEN job = 'Delete' THEN 'Deleted' ELSE 'Onboarded' END
        FROM took WHERE chance % 50 > 0
    UNION ALL SELECT account_key, ends + 1 + chance % 20, CASE job WHEN 'Delete' THEN 'Deleted' ELSE 'Onboarded' END
        FROM took WHERE fails AND chance % 50 > 2
), one AS (
    SELECT account_key, day, min(state) AS state FROM told WHERE day < :days GROUP BY ALL
)
SELECT account_key, day, state FROM one
QUALIFY lag(state) OVER (PARTITION BY account_key ORDER BY day) IS DISTINCT FROM state;

CREATE TEMP TABLE versions AS
WITH held AS (
    SELECT *, lead(day) OVER (PARTITION BY account_key ORDER BY day) AS until FROM step
), whole AS (
    SELECT *, CASE WHEN state LIKE '% failed' THEN hash(account_key, day, 'c') % 6 END AS why FROM held
    WHERE NOT (account_key % 97 = 0 AND state LIKE '% ongoing')
)
SELECT made.*, state AS provisioning_state,
    CASE why WHEN 0 THEN 'Seat limit of 250 reached' WHEN 1 THEN 'User ' || username_in_app || ' exists already'
        WHEN 2 THEN 'Timeout after ' || hash(account_key) % 900 || ' ms' WHEN 3 THEN 'Forbidden: scope users:write is missing'
        WHEN 4 THEN 'Rate limited' END AS state_reason,
    CASE why WHEN 4 THEN 'HTTP_429' WHEN 5 THEN NULL END AS failure_code,
    taken(integration_id, day) AS valid_from,
    coalesce(taken(integration_id, until), TIMESTAMP '9999-12-31') AS valid_to,
    taken(integration_id, day) AS last_updated,
    NULL::VARCHAR AS role_details, NULL::VARCHAR AS attributes, NULL::VARCHAR AS flags
FROM whole JOIN made USING (account_key) ORDER BY valid_from, account_key;

INSERT INTO integration BY NAME SELECT n AS integration_id, 'app-' || lpad(n::VARCHAR, 3, '0') AS name
FROM range(1, :integrations + 1) AS every(n);

INSERT INTO account BY NAME SELECT account_key, integration_id, account_key::VARCHAR AS account_id FROM made;

CREATE TEMP TABLE history AS
WITH told AS (
    SELECT *, coalesce(lag(valid_to) OVER earlier = valid_from, false) AS follows,
        split_part(provisioning_state, ' ', 1) AS job,
        CASE WHEN provisioning_state LIKE '% awaiting' OR provisioning_state LIKE '% ongoing' THEN job ELSE provisioning_state END AS attempt,
        NOT follows AS comes, comes OR lag(attempt) OVER earlier <> attempt AS attempts,
        comes OR lag(job) OVER earlier <> job AS jobs,
        CASE WHEN follows THEN lag(provisioning_state) OVER earlier END AS previous_state
    FROM versions WINDOW earlier AS (PARTITION BY account_key ORDER BY valid_from)
), since AS (
    SELECT *, valid_from AS state_since, max(CASE WHEN attempts THEN valid_from END) OVER so_far AS attempt_since,
        max(CASE WHEN jobs THEN valid_from END) OVER so_far AS job_since,
        max(CASE WHEN comes THEN valid_from END) OVER so_far AS content_since,
        content_since AS active_since, content_since AS user_since,
        CASE WHEN provisioning_state LIKE '% failed' THEN coalesce(failure_code, regexp_replace(state_reason, '\w*\d\w*', '…'), 'No reason given') END AS failure_reason
    FROM told WINDOW so_far AS (PARTITION BY account_key ORDER BY valid_from)
), led AS (
    SELECT *, CASE WHEN jobs AND follows THEN lag(job_since) OVER earlier END AS led
    FROM since WINDOW earlier AS (PARTITION BY account_key ORDER BY valid_from)
)
SELECT * EXCLUDE (follows, job, attempt, comes, attempts, jobs, led),
    max(led) OVER (PARTITION BY account_key, job_since) AS previous_job_since FROM led ORDER BY valid_from, account_key;

INSERT INTO account_version BY NAME
SELECT * EXCLUDE (username_in_app, user_name, user_email, roles, role_details, upstream_user_id, attributes) FROM history;

INSERT INTO account_profile BY NAME
SELECT account_key, integration_id, content_since, username_in_app, user_name, user_email, roles, role_details,
    upstream_user_id, attributes FROM history WHERE valid_from = content_since;

INSERT INTO account_current BY NAME SELECT * EXCLUDE valid_to,
    strip_accents(lower(concat_ws(' ', user_name, user_email, username_in_app, upstream_user_id))) AS search,
    0 AS content_hash, coalesce(user_name, user_email) IS NOT NULL AS is_matched
FROM history WHERE valid_to = TIMESTAMP '9999-12-31';

CREATE TEMP TABLE moved AS
SELECT coalesce(b.integration_id, a.integration_id) AS integration_id, coalesce(b.valid_from, a.valid_to) AS taken_at,
    a.provisioning_state AS from_state, b.provisioning_state AS to_state,
    coalesce(b.active_in_app, a.active_in_app, false)::INT AS active,
    (coalesce(b.user_name, a.user_name) IS NULL)::INT AS unmatched
FROM (FROM history WHERE valid_to < TIMESTAMP '9999-12-31') AS a
FULL JOIN history AS b ON a.account_key = b.account_key AND a.valid_to = b.valid_from;

INSERT INTO state_change BY NAME SELECT integration_id, taken_at, from_state, to_state, count(*) AS accounts
FROM moved GROUP BY ALL;

INSERT INTO state_count BY NAME
WITH stay AS (
    SELECT integration_id, provisioning_state, state_since, max(valid_to) AS until FROM account_version
    WHERE provisioning_state NOT IN ('Onboarded', 'Deleted') GROUP BY ALL
), every AS (
    SELECT integration_id, taken(integration_id, day) AS taken_at, state AS provisioning_state
    FROM range(:days) AS days(day), integration, (SELECT DISTINCT provisioning_state AS state FROM versions)
), step AS (
    SELECT integration_id, taken_at, to_state AS provisioning_state, 1 AS way, active, unmatched, from_state IS NULL AS edge FROM moved WHERE to_state IS NOT NULL
    UNION ALL SELECT integration_id, taken_at, from_state, -1, active, unmatched, to_state IS NULL FROM moved WHERE from_state IS NOT NULL
), total AS (
    SELECT integration_id, taken_at, provisioning_state, sum(way) AS accounts, sum(way * active) AS active,
        sum(way * unmatched) AS unmatched, count(*) FILTER (way > 0) AS entered, count(*) FILTER (way < 0) AS "left"
    FROM step GROUP BY ALL
)
SELECT integration_id, taken_at, provisioning_state,
    sum(coalesce(accounts, 0)) OVER so_far AS accounts, sum(coalesce(active, 0)) OVER so_far AS active,
    sum(coalesce(unmatched, 0)) OVER so_far AS unmatched, coalesce(entered, 0) AS entered,
    coalesce("left", 0) AS "left", 0 AS changed,
    (SELECT min(state_since) FROM stay WHERE stay.integration_id = every.integration_id AND stay.until > every.taken_at
        AND stay.provisioning_state = every.provisioning_state AND stay.state_since <= every.taken_at) AS oldest
FROM every LEFT JOIN total USING (integration_id, taken_at, provisioning_state)
WINDOW so_far AS (PARTITION BY integration_id, provisioning_state ORDER BY taken_at);

INSERT INTO snapshot BY NAME SELECT row_number() OVER (ORDER BY taken_at) AS snapshot_id, *,
    taken_at AS loaded_at, 'made-up' AS file_name, 'none' AS sha256, accepted AS rows_read, 0 AS rejected, 0 AS flagged, '{}' AS facts
FROM (SELECT integration_id, taken_at, sum(accounts) AS accepted FROM state_count GROUP BY ALL);
