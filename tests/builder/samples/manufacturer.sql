-- A manufacturer: ten schemas, five of them short names that repeat the others' tables as views; domains over domains,
-- row ids beside the keys, XML, keys of three columns, a hierarchy, tables of one name that refer to each other.
CREATE SCHEMA person; CREATE SCHEMA hr; CREATE SCHEMA production; CREATE SCHEMA purchasing; CREATE SCHEMA sales;
CREATE SCHEMA pe; CREATE SCHEMA h; CREATE SCHEMA pr; CREATE SCHEMA pu; CREATE SCHEMA sa;
CREATE DOMAIN "Name" AS varchar(50);
CREATE DOMAIN "LongName" AS "Name" NOT NULL;
CREATE DOMAIN "Flag" AS boolean NOT NULL;
CREATE DOMAIN "Mask" AS bit(4);
CREATE DOMAIN "OrderNumber" AS varchar(25) CHECK (VALUE LIKE 'SO%');

-- A server without libxml has the type, and no way to write a value of it.
CREATE CAST (bytea AS xml) WITHOUT FUNCTION;

CREATE TABLE person.businessentity (businessentityid serial PRIMARY KEY, rowguid uuid NOT NULL UNIQUE, modifieddate timestamp NOT NULL DEFAULT '2024-03-01');
CREATE TABLE person.person (
  businessentityid int PRIMARY KEY REFERENCES person.businessentity, persontype char(2) NOT NULL, namestyle "Flag" DEFAULT false,
  title varchar(8), firstname "LongName", lastname "Name" NOT NULL, demographics xml, rowguid uuid NOT NULL);
CREATE TABLE person.emailaddress (
  businessentityid int REFERENCES person.person, emailaddressid serial, emailaddress varchar(50),
  PRIMARY KEY (businessentityid, emailaddressid));
CREATE TABLE person.address (addressid serial PRIMARY KEY, addressline1 varchar(60) NOT NULL, city "Name", spatiallocation bytea);
CREATE TABLE person.businessentityaddress (
  businessentityid int REFERENCES person.businessentity, addressid int REFERENCES person.address, addresstypeid int,
  PRIMARY KEY (businessentityid, addressid, addresstypeid));
CREATE TABLE hr.department (departmentid smallint PRIMARY KEY, name "LongName", groupname "Name");
CREATE TABLE hr.employee (
  businessentityid int PRIMARY KEY REFERENCES person.person, jobtitle varchar(50) NOT NULL, organizationnode varchar,
  birthdate date NOT NULL, salariedflag "Flag", vacationhours smallint NOT NULL DEFAULT 0, shifts "Mask");
CREATE TABLE hr.employeedepartmenthistory (
  businessentityid int REFERENCES hr.employee, departmentid smallint REFERENCES hr.department, startdate date, enddate date,
  PRIMARY KEY (businessentityid, departmentid, startdate));
CREATE TABLE production.location (locationid serial PRIMARY KEY, name "LongName", costrate numeric NOT NULL DEFAULT 0.00);
CREATE TABLE production.category (categoryid serial PRIMARY KEY, parentcategoryid int REFERENCES production.category, name "Name");
CREATE TABLE production.product (
  productid serial PRIMARY KEY, name "LongName", productnumber varchar(25) NOT NULL UNIQUE, makeflag "Flag", listprice numeric NOT NULL,
  size varchar(5), weight numeric(8, 2), categoryid int REFERENCES production.category, instructions xml);
CREATE TABLE production.billofmaterials (
  billid serial PRIMARY KEY, assemblyid int REFERENCES production.product, componentid int NOT NULL REFERENCES production.product,
  perassemblyqty numeric(8, 2));
CREATE TABLE production.document (documentnode varchar PRIMARY KEY, title varchar(50) NOT NULL, owner int REFERENCES hr.employee, document bytea);
CREATE TABLE production.inventory (
  productid int REFERENCES production.product, locationid int REFERENCES production.location, shelf varchar(10), quantity smallint,
  PRIMARY KEY (productid, locationid));
CREATE TABLE purchasing.location (locationid int PRIMARY KEY REFERENCES production.location, dock text);
CREATE TABLE purchasing.vendor (businessentityid int PRIMARY KEY REFERENCES person.businessentity, name "LongName", activeflag "Flag");
CREATE TABLE purchasing.productvendor (
  productid int REFERENCES production.product, businessentityid int REFERENCES purchasing.vendor, standardprice numeric,
  PRIMARY KEY (productid, businessentityid));
CREATE TABLE sales.customer (
  customerid serial PRIMARY KEY, personid int REFERENCES person.person, accountnumber text GENERATED ALWAYS AS ('AW' || customerid) STORED);
CREATE TABLE sales.orderheader (
  orderid serial PRIMARY KEY, ordernumber "OrderNumber", customerid int NOT NULL REFERENCES sales.customer,
  shiptoaddressid int REFERENCES person.address, billtoaddressid int REFERENCES person.address, status smallint NOT NULL,
  subtotal numeric NOT NULL, totaldue numeric GENERATED ALWAYS AS (subtotal * 1.19) STORED, orderdate timestamp NOT NULL);
CREATE TABLE sales.offer (offerid int, productid int REFERENCES production.product, PRIMARY KEY (offerid, productid));
CREATE TABLE sales.orderdetail (
  orderid int REFERENCES sales.orderheader, lineid serial, productid int, offerid int, orderqty smallint NOT NULL,
  PRIMARY KEY (orderid, lineid), FOREIGN KEY (offerid, productid) REFERENCES sales.offer (offerid, productid));

INSERT INTO person.businessentity (rowguid) SELECT md5(n::text)::uuid FROM generate_series(1, 60) n;
INSERT INTO person.person
  SELECT n, (ARRAY['EM', 'IN', 'SC'])[n % 3 + 1], n % 2 = 0, nullif('Dr', left('Dr', n % 5)), 'Max' || n, 'Maker',
    CASE n % 2 WHEN 0 THEN convert_to('<survey n="' || n || '"><cars>' || n % 4 || '</cars></survey>', 'UTF8')::xml END, md5('p' || n)::uuid
  FROM generate_series(1, 50) n;
INSERT INTO person.emailaddress (businessentityid, emailaddress) SELECT n, 'max' || n || '@works.example' FROM generate_series(1, 50) n;
INSERT INTO person.address (addressline1, city) SELECT n || ' Mill Lane', nullif('Town ' || n % 6, 'Town 0') FROM generate_series(1, 20) n;
INSERT INTO person.businessentityaddress SELECT n, n % 20 + 1, n % 3 + 1 FROM generate_series(1, 45) n;
INSERT INTO hr.department SELECT n, 'Team ' || n, 'Group' FROM generate_series(1, 8) n;
INSERT INTO hr.employee SELECT n, 'Fitter', '/' || n / 5 || '/' || n || '/', date '1970-01-01' + n * 100, n % 3 = 0, n, n::bit(4)
  FROM generate_series(1, 25) n;
INSERT INTO hr.employeedepartmenthistory SELECT n % 25 + 1, n % 8 + 1, date '2020-01-01' + n, CASE WHEN n < 10 THEN date '2022-01-01' END
  FROM generate_series(1, 40) n;
INSERT INTO production.location (name, costrate) SELECT 'Hall ' || n, n * 2.5 FROM generate_series(1, 7) n;
INSERT INTO production.category (parentcategoryid, name) SELECT nullif(n / 2, 0), 'Class ' || n FROM generate_series(1, 15) n;
INSERT INTO production.product (name, productnumber, makeflag, listprice, size, weight, categoryid, instructions)
  SELECT 'Part ' || n, 'P-' || n, n % 2 = 0, n * 1.25, NULL, n / 3.0, nullif(n % 16, 0), CASE n % 9 WHEN 0 THEN '\x3c737465702f3e'::bytea::xml END
  FROM generate_series(1, 60) n;
INSERT INTO production.billofmaterials (assemblyid, componentid, perassemblyqty) SELECT nullif(n % 10, 0), n, 1.5 FROM generate_series(11, 50) n;
INSERT INTO production.document SELECT '/' || n / 4 || '/' || n, 'Paper ' || n, n % 25 + 1, '\xdeadbeef' FROM generate_series(1, 12) n;
INSERT INTO production.inventory SELECT n, n % 7 + 1, 'S' || n % 9, n FROM generate_series(1, 60) n;
INSERT INTO purchasing.location SELECT n, 'Dock ' || n FROM generate_series(1, 4) n;
INSERT INTO purchasing.vendor SELECT n, 'Vendor ' || n, n % 2 = 0 FROM generate_series(51, 60) n;
INSERT INTO purchasing.productvendor SELECT n, 51 + n % 10, n * 1.1 FROM generate_series(1, 60) n;
INSERT INTO sales.customer (personid) SELECT nullif(n % 51, 0) FROM generate_series(1, 55) n;
INSERT INTO sales.orderheader (ordernumber, customerid, shiptoaddressid, billtoaddressid, status, subtotal, orderdate)
  SELECT 'SO' || n, n % 55 + 1, n % 20 + 1, nullif(n % 21, 0), n % 5, n * 10.10, timestamp '2024-04-01' + n * interval '3 h'
  FROM generate_series(1, 80) n;
INSERT INTO sales.offer SELECT n % 4, n FROM generate_series(1, 60) n;
INSERT INTO sales.orderdetail (orderid, productid, offerid, orderqty) SELECT n % 80 + 1, n % 60 + 1, (n % 60 + 1) % 4, n % 5 + 1 FROM generate_series(1, 90) n;
CREATE VIEW pe.person AS SELECT businessentityid AS id, * FROM person.person;
CREATE VIEW h.employee AS SELECT businessentityid AS id, * FROM hr.employee;
CREATE VIEW pr.product AS SELECT productid AS id, * FROM production.product;
CREATE VIEW pu.vendor AS SELECT businessentityid AS id, * FROM purchasing.vendor;
CREATE VIEW sa.orderheader AS SELECT orderid AS id, * FROM sales.orderheader;
ANALYZE;
