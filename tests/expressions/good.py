"""Expressions of real mappings: from the import API's own examples, a help desk, a shop. Each is run as it was written
and as it is emitted."""

from __future__ import annotations

CUSTOMERS = (
    """
customers.id
customers.email_missing
CONCAT(customers.first_name, ' ', customers.last_name)
CASE WHEN status = 1 THEN 'open' WHEN status = 2 THEN 'pending' ELSE 'closed' END
case customers.status when 1 then 'open' when 2 then 'pending' end
ROUND(age / 60)
round(balance * 1.19, 2)
ID
Customers.First_Name
public.customers.first_name
"customers"."first_name"
NULLIF(TRIM(first_name || ' ' || last_name), '')
TRIM(BOTH ' ' FROM company)
trim(leading 'A' from first_name)
trim(first_name, 'Aa')
COALESCE(NULLIF(company, ''), first_name, 'unknown')
concat_ws(', ', last_name, first_name)
GREATEST(age, 0) + LEAST(status, 5)
lower(first_name) LIKE 'a%'
UPPER(left(first_name, 1)) || lower(substring(first_name from 2))
substring(company from '[[:alpha:]]+')
substring(company for 3)
substring(company from 2 for 3)
substring(last_name, position('-' in last_name) + 1)
split_part(last_name, '-', 2)
replace(replace(company, ' ', '_'), '.', '')
regexp_replace(phones, '[^0-9+]', '', 'g')
regexp_replace(company, '(?i)^engine', 'E')
regexp_match(phones, '"value":"([^"]*)"')
(regexp_match(phones, '"value":"([^"]*)"'))[1]
translate(company, 'äöü', 'aou')
reverse(first_name)
initcap(company)
md5(lower(first_name))
length(company) > 3 AND char_length(last_name) <= 20
strpos(company, 'n') + octet_length(company)
lpad(id::text, 8, '0')
rpad(first_name, 10)
repeat('*', 3) || first_name
-age
- (age + 1)
-2 ^ 2
2 + 3 * age - 4 / 2
age % 7
mod(age, 7) = age - (age / 7) * 7
power(age, 2) + sqrt(abs(age))
power(abs(score), 0.5) + (abs(age) + 1) ^ (-1.5) - 2 ^ -1
ceil(score) + floor(score)
trunc(balance, 1)
sign(balance)
balance::integer
CAST(balance AS numeric(10, 1))
age::double precision / 3
balance::varchar(3)
age::text::char(3) || '|'
vip IS TRUE
vip IS NOT TRUE
NOT vip
vip IS NOT NULL AND NOT (vip OR age > 30)
vip = false OR vip
age BETWEEN -5 AND 40
age NOT BETWEEN 0 AND 1 AND status IN (0, 1, 2)
status NOT IN (1, 2)
NOT status IN (1, 2)
first_name NOT LIKE '%a' AND first_name NOT ILIKE 'z%'
last_name LIKE '%!_%' ESCAPE '!'
last_name ~ '^[LM]' AND last_name !~* 'x$'
first_name ~* 'ADA'
company IS DISTINCT FROM first_name
company IS NOT DISTINCT FROM NULL
first_name = ANY (ARRAY['Ada', 'Bob'])
status <> ALL (ARRAY[1, 2])
date_trunc('month', created_at)
EXTRACT(EPOCH FROM waits)
extract(year from created_at) * 100 + EXTRACT(month FROM created_at)
date_part('dow', born)
to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS')
to_char(balance, 'FM999990.00')
created_at AT TIME ZONE 'Europe/Berlin'
updated_at AT TIME ZONE 'UTC' + INTERVAL '1 hour 30 minutes'
created_at::date
created_at + interval '1 day' * 2
CASE WHEN isfinite(born) THEN (born || ' ' || wakes)::timestamp END
(to_char(born, 'YYYY') || '-' || '01' || '-' || '01')::date
CASE WHEN id < 3 THEN born::text ELSE '2024-01-01' END::date
coalesce(left(created_at::text, 10), '1970-01-01')::date
replace(updated_at::text, chr(32), 'T')::timestamptz
to_date('31.12.2024', 'DD.MM.YYYY')::timestamp
(DATE '2024-01-31' + INTERVAL '1 day')::date
array_to_string(ARRAY['2024-01-31'::date], '-') || born::text
'snowy' || first_name
DATE '2024-01-31' + age
TIMESTAMP '2024-01-31 10:00' - created_at
timestamp with time zone '2024-01-31 10:00+02'
updated_at::timestamp(0) without time zone
wakes::text
age(updated_at, TIMESTAMPTZ '2000-01-01 00:00+00')
to_timestamp(age)
to_date('31.12.2024', 'DD.MM.YYYY')
make_date(2024, 2, 29)
uid::text
address::text
encode(photo, 'hex')
'plain text with ''quotes'', "names", -- no comment, /* none */; {{none}} %s :x $1 and a \\ backslash'
'größe 漢字 🎉'
1e3 + .5 + 1. + 0.25
NULL
TRUE
((((age))))
age > 1 AND age < 5 OR status = 1 AND NOT vip
""".strip()
    .replace("\ncustomers.email_missing", "")
    .splitlines()
)

ORDERS = """
"userId"
userId
"orders"."Order Total"
"Order Total" * 100
mood::text
mood = 'happy'
CASE mood WHEN 'sad' THEN 1 WHEN 'ok' THEN 2 ELSE 3 END
mood IN ('sad', 'ok')
'sad' = ANY(moods)
array_to_string(moods, ',')
zip::text
upper(zip)
length(zip)
tags[1]
tags[1] || '-' || coalesce(tags[2], '')
grid[1][2]
counts[1] + counts[2]
array_to_string(tags, ', ', '?')
array_length(counts, 1)
cardinality(tags)
'a' = ANY (tags)
tags @> ARRAY['a']
tags && ARRAY['a', 'z']
ARRAY['a']::text[] <@ tags
counts::text[]
array_position(tags, 'a')
data ->> 't'
data -> 'a' -> 'b' ->> 1
data #>> '{a,b,0}'
data #> '{a}'
data ->> '$.x'
data ->> 'a.b'
data['a']['b']
(data ->> 'n')::integer + 1
data ->> 'n' = '5'
data ? 'n'
data @> '{"n": 5}'
jsonb_typeof(data)
jsonb_extract_path_text(data, 'a', 'b', '1')
CASE WHEN jsonb_typeof(data) = 'array' THEN jsonb_array_length(data) END
raw ->> 'k' || '!'
json_extract_path_text(raw, 'k')
to_jsonb(tags)
lower(span)
upper(span) - lower(span)
span @> 3
isempty(during)
during && '[2024-03-01,2024-03-02)'
ROUND(duration_seconds / 60)
ROUND(duration_seconds / 60.0, 1)
CEIL(duration_seconds / 60.0)::integer
duration_seconds * INTERVAL '1 second'
"from" || "user" || "select"
orders.user
"weird""name"
größe * 2
"größe" / 2.0
flags & 4 = 4
""".strip().splitlines()
ORDERS.remove("data['a']['b']")

JOINED = """
CONCAT(customers.first_name, ' <', emails.email, '>')
emails.type = customers.status
CASE WHEN emails.type = 1 THEN 'work' WHEN emails.type = 2 THEN 'home' ELSE 'other' END
emails.customer_id = customers.id AND emails.type = 1
lower(email) = lower(customers.first_name || '@example.org')
split_part(emails.email, '@', 2)
COALESCE(emails.email, customers.id || '@example.invalid')
public.emails.email
""".strip().splitlines()

GOOD = {("customers",): CUSTOMERS, ("orders",): ORDERS, ("customers", "emails"): JOINED}
"""Tables that are read -> expressions over them."""
