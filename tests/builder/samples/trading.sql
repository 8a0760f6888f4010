-- A trading firm: no foreign key anywhere, keys of small numbers and short texts, blanks in a name, many nulls.
CREATE TABLE categories (category_id smallint PRIMARY KEY, category_name varchar(15) NOT NULL, description text, picture bytea);
CREATE TABLE suppliers (
  supplier_id smallint PRIMARY KEY, company_name varchar(40) NOT NULL, contact_name varchar(30), phone varchar(24), homepage text);
CREATE TABLE products (
  product_id smallint PRIMARY KEY, product_name varchar(40) NOT NULL, supplier_id smallint, category_id smallint,
  unit_price real, units_in_stock smallint, discontinued integer NOT NULL);
CREATE TABLE customers (
  customer_id char(5) PRIMARY KEY, company_name varchar(40) NOT NULL, contact_name varchar(30), address varchar(60),
  region varchar(15), phone varchar(24));
CREATE TABLE employees (
  employee_id smallint PRIMARY KEY, last_name varchar(20) NOT NULL, first_name varchar(10) NOT NULL, title varchar(30),
  birth_date date, hire_date date, photo bytea, notes text, reports_to smallint);
CREATE TABLE shippers (shipper_id smallint PRIMARY KEY, company_name varchar(40) NOT NULL, phone varchar(24));
CREATE TABLE orders (
  order_id smallint PRIMARY KEY, customer_id char(5), employee_id smallint, order_date date, shipped_date date,
  shipper_id smallint, freight real, ship_name varchar(40), ship_region varchar(15));
CREATE TABLE "order details" (
  order_id smallint NOT NULL, product_id smallint NOT NULL, unit_price real NOT NULL, quantity smallint NOT NULL,
  discount real NOT NULL, PRIMARY KEY (order_id, product_id));
CREATE TABLE region (region_id smallint PRIMARY KEY, region_description char(60) NOT NULL);
CREATE TABLE territories (territory_id varchar(20) PRIMARY KEY, territory_description char(60) NOT NULL, region_id smallint NOT NULL);
CREATE TABLE employee_territories (
  employee_id smallint NOT NULL, territory_id varchar(20) NOT NULL, PRIMARY KEY (employee_id, territory_id));
CREATE TABLE customer_demographics (customer_type_id char(10) PRIMARY KEY, customer_desc text);
CREATE TABLE customer_customer_demo (customer_id char(5), customer_type_id char(10), PRIMARY KEY (customer_id, customer_type_id));

INSERT INTO categories SELECT n, 'Goods ' || n, CASE n % 2 WHEN 0 THEN 'Of many' || E'\n' || 'kinds' END, decode(md5(n::text), 'hex')
  FROM generate_series(1, 8) n;
INSERT INTO suppliers SELECT n, 'Maker ' || n, NULL, NULL, CASE n % 3 WHEN 0 THEN 'www' || n || '.example' END FROM generate_series(1, 12) n;
INSERT INTO products SELECT n, 'Article ' || n, n % 13, n % 9, n * 1.1, nullif(n % 20, 0), n % 2 FROM generate_series(1, 77) n;
INSERT INTO customers
  SELECT upper(left(md5(n::text), CASE WHEN n % 9 = 0 THEN 3 ELSE 5 END)), 'Buyer ' || n, nullif('Max ' || n % 10, 'Max 0'),
    NULL, nullif('R' || n % 3, 'R0'), NULL FROM generate_series(1, 60) n;
INSERT INTO employees
  SELECT n, 'Trader', 'Sam' || n, 'Sales', date '1960-02-29' + n * 400, date '1992-05-01' + n, NULL, 'Speaks ' || n, nullif(n / 3, 0)
  FROM generate_series(1, 9) n;
INSERT INTO shippers SELECT n, 'Carrier ' || n, NULL FROM generate_series(1, 3) n;
INSERT INTO orders
  SELECT 10000 + n, CASE WHEN n % 17 > 0 THEN (SELECT customer_id FROM customers ORDER BY 1 OFFSET n % 60 LIMIT 1) END, n % 9 + 1,
    date '1996-07-04' + n, CASE WHEN n % 4 > 0 THEN date '1996-07-10' + n END, n % 3 + 1, n / 7.0::real, NULL, nullif('R' || n % 4, 'R0')
  FROM generate_series(1, 130) n;
INSERT INTO "order details" SELECT 10000 + o, o % 70 + p, o * 0.5, p * 3, CASE o % 5 WHEN 0 THEN 0.15 ELSE 0 END
  FROM generate_series(1, 40) o, generate_series(1, 3) p;
INSERT INTO region SELECT n, 'Part ' || n FROM generate_series(1, 4) n;
INSERT INTO territories SELECT to_char(n * 71, 'FM00000'), 'Area ' || n, n % 4 + 1 FROM generate_series(1, 25) n;
INSERT INTO employee_territories SELECT n % 9 + 1, to_char(n * 71, 'FM00000') FROM generate_series(1, 25) n;
ANALYZE;
