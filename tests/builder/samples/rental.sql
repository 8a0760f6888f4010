-- A DVD rental shop: domains, enums, a partitioned table, generated columns, views, a materialized view, tables that
-- refer to each other.
CREATE DOMAIN year AS integer CHECK (VALUE BETWEEN 1901 AND 2155);
CREATE DOMAIN address_line AS text NOT NULL CHECK (length(VALUE) > 0);
CREATE TYPE mpaa_rating AS ENUM ('G', 'PG', 'PG-13', 'R', 'NC-17');

CREATE TABLE language (language_id serial PRIMARY KEY, name character(20) NOT NULL, last_update timestamptz DEFAULT '2024-01-01');
CREATE TABLE city (city_id serial PRIMARY KEY, city text NOT NULL, country text NOT NULL);
CREATE TABLE address (
  address_id serial PRIMARY KEY, address address_line, district text, city_id int NOT NULL REFERENCES city,
  postal_code varchar(10), phone text);
CREATE TABLE store (store_id serial PRIMARY KEY, manager_staff_id int NOT NULL, address_id int NOT NULL REFERENCES address);
CREATE TABLE staff (
  staff_id serial PRIMARY KEY, first_name text NOT NULL, last_name text NOT NULL, email text, username text NOT NULL,
  store_id int NOT NULL REFERENCES store, active boolean NOT NULL DEFAULT true, picture bytea);
CREATE TABLE customer (
  customer_id serial PRIMARY KEY, store_id int NOT NULL REFERENCES store, first_name text NOT NULL,
  last_name text NOT NULL, email text, address_id int REFERENCES address, activebool boolean NOT NULL,
  create_date date NOT NULL, created_at timestamptz, active int);
CREATE TABLE film (
  film_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text NOT NULL, description text, release_year year,
  language_id int NOT NULL REFERENCES language, original_language_id int REFERENCES language,
  rental_rate numeric(4, 2) NOT NULL, length smallint, rating mpaa_rating DEFAULT 'G', special_features text[],
  hours numeric GENERATED ALWAYS AS (round(length / 60.0, 2)) STORED,
  fulltext tsvector GENERATED ALWAYS AS (to_tsvector('simple', title || ' ' || coalesce(description, ''))) STORED);
CREATE INDEX film_fulltext ON film USING gist (fulltext);
CREATE TABLE performer (performer_id serial PRIMARY KEY, first_name text NOT NULL, last_name text NOT NULL);
CREATE TABLE film_performer (
  performer_id int REFERENCES performer, film_id bigint REFERENCES film, billed smallint,
  PRIMARY KEY (performer_id, film_id));
CREATE TABLE inventory (inventory_id serial PRIMARY KEY, film_id bigint NOT NULL REFERENCES film, store_id int NOT NULL REFERENCES store);
CREATE TABLE rental (
  rental_id serial PRIMARY KEY, rental_period tstzrange NOT NULL, inventory_id int NOT NULL REFERENCES inventory,
  customer_id int NOT NULL REFERENCES customer, staff_id int REFERENCES staff);
CREATE TABLE payment (
  payment_id int NOT NULL, customer_id int NOT NULL REFERENCES customer, rental_id int REFERENCES rental,
  amount numeric(5, 2) NOT NULL, payment_date timestamptz NOT NULL, PRIMARY KEY (payment_date, payment_id))
  PARTITION BY RANGE (payment_date);
CREATE TABLE payment_p01 PARTITION OF payment FOR VALUES FROM ('2024-01-01 00:00Z') TO ('2024-02-01 00:00Z');
CREATE TABLE payment_p02 PARTITION OF payment FOR VALUES FROM ('2024-02-01 00:00Z') TO ('2024-03-01 00:00Z')
  PARTITION BY RANGE (payment_id);
CREATE TABLE payment_p02_few PARTITION OF payment_p02 FOR VALUES FROM (0) TO (90);
CREATE TABLE payment_p02_rest PARTITION OF payment_p02 DEFAULT;
CREATE TABLE payment_rest PARTITION OF payment DEFAULT;

INSERT INTO language (name) SELECT 'Tongue ' || n FROM generate_series(1, 6) n;
INSERT INTO city (city, country) SELECT 'Town ' || n, 'Land ' || n % 4 FROM generate_series(1, 12) n;
INSERT INTO address (address, district, city_id, postal_code, phone)
  SELECT n || ' Elm Street', nullif('D' || n % 5, 'D0'), n % 12 + 1, to_char(n * 37, 'FM00000'), '+1 555 ' || n
  FROM generate_series(1, 30) n;
INSERT INTO store (manager_staff_id, address_id) VALUES (1, 1), (2, 2);
INSERT INTO staff (first_name, last_name, email, username, store_id, picture)
  SELECT 'Pat' || n, 'Clerk', 'pat' || n || '@rental.example', 'pat' || n, n % 2 + 1, decode(md5(n::text), 'hex')
  FROM generate_series(1, 4) n;
ALTER TABLE store ADD FOREIGN KEY (manager_staff_id) REFERENCES staff;
INSERT INTO customer (store_id, first_name, last_name, email, address_id, activebool, create_date, created_at, active)
  SELECT n % 2 + 1, 'Ann' || n, 'Renter', 'ann' || n || '@mail.example', nullif(n % 30, 0), n % 7 > 0,
    date '2023-06-01' + n, '2023-06-01 12:00+02'::timestamptz + n * interval '1 day 1.5 s', n % 2
  FROM generate_series(1, 60) n;
INSERT INTO film (title, description, release_year, language_id, original_language_id, rental_rate, length, rating,
    special_features)
  SELECT 'The ' || n || '. Film', CASE WHEN n % 5 > 0 THEN 'A tale, told "' || n || '" times' END, 1960 + n % 60,
    n % 6 + 1, nullif(n % 7, 0), n % 5 + 0.99, nullif(n % 11, 0) * 17,
    (enum_range(NULL::mpaa_rating))[n % 6], CASE WHEN n % 4 > 0 THEN (ARRAY['Trailers', 'Cut, deleted', NULL])[1:n % 4] END
  FROM generate_series(1, 80) n;
INSERT INTO performer (first_name, last_name) SELECT 'Kim' || n, 'Star' FROM generate_series(1, 20) n;
INSERT INTO film_performer SELECT p, f, (p + f) % 5 FROM generate_series(1, 20) p, generate_series(1, 80, 9) f WHERE (p + f) % 3 = 0;
INSERT INTO inventory (film_id, store_id) SELECT n % 80 + 1, n % 2 + 1 FROM generate_series(1, 90) n;
INSERT INTO rental (rental_period, inventory_id, customer_id, staff_id)
  SELECT tstzrange('2024-01-01 10:00Z'::timestamptz + n * interval '9 h',
    CASE WHEN n % 6 > 0 THEN '2024-01-03 10:00Z'::timestamptz + n * interval '9 h' END), n % 90 + 1, n % 60 + 1, nullif(n % 5, 0)
  FROM generate_series(1, 150) n;
INSERT INTO payment SELECT n, n % 60 + 1, nullif(n % 151, 0), n % 9 + 0.99, '2024-01-02Z'::timestamptz + n * interval '11 h'
  FROM generate_series(1, 170) n;

CREATE VIEW customer_list AS
  SELECT c.customer_id AS id, c.first_name || ' ' || c.last_name AS name, a.address, a.postal_code AS "zip code", t.city,
    CASE WHEN c.activebool THEN 'active' ELSE '' END AS notes
  FROM customer c LEFT JOIN address a USING (address_id) LEFT JOIN city t USING (city_id);
CREATE VIEW sales_by_store AS
  SELECT s.store_id, sum(p.amount) AS total_sales FROM payment p JOIN customer c USING (customer_id) JOIN store s USING (store_id)
  GROUP BY s.store_id;
CREATE MATERIALIZED VIEW rentals_by_film AS
  SELECT f.film_id, f.title, f.rating, count(r.rental_id) AS times FROM film f LEFT JOIN inventory USING (film_id)
  LEFT JOIN rental r USING (inventory_id) GROUP BY f.film_id;
CREATE UNIQUE INDEX ON rentals_by_film (film_id);
ANALYZE;
