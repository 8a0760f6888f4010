-- A music shop: every name in mixed case, some with what a name seldom has; a table that is only two keys.
CREATE TABLE "Artist" ("ArtistId" int PRIMARY KEY, "Name" varchar(120));
CREATE TABLE "Album" ("AlbumId" int PRIMARY KEY, "Title" varchar(160) NOT NULL, "ArtistId" int NOT NULL REFERENCES "Artist");
CREATE TABLE "Genre" ("GenreId" int PRIMARY KEY, "Name" varchar(120));
CREATE TABLE "MediaType" ("MediaTypeId" int PRIMARY KEY, "Name" varchar(120));
CREATE TABLE "Track" (
  "TrackId" int PRIMARY KEY, "Name" varchar(200) NOT NULL, "AlbumId" int REFERENCES "Album",
  "MediaTypeId" int NOT NULL REFERENCES "MediaType", "GenreId" int REFERENCES "Genre", "Composer" varchar(220),
  "Milliseconds" int NOT NULL, "Bytes" int, "UnitPrice" numeric(10, 2) NOT NULL);
CREATE TABLE "Playlist" ("PlaylistId" int PRIMARY KEY, "Name" varchar(120));
CREATE TABLE "PlaylistTrack" (
  "PlaylistId" int NOT NULL REFERENCES "Playlist", "TrackId" int NOT NULL REFERENCES "Track",
  PRIMARY KEY ("PlaylistId", "TrackId"));
CREATE TABLE "Employee" (
  "EmployeeId" int PRIMARY KEY, "LastName" varchar(20) NOT NULL, "FirstName" varchar(20) NOT NULL, "Title" varchar(30),
  "ReportsTo" int REFERENCES "Employee", "BirthDate" timestamp, "HireDate" timestamp, "Phone" varchar(24), "Email" varchar(60));
CREATE TABLE "Customer" (
  "CustomerId" int PRIMARY KEY, "FirstName" varchar(40) NOT NULL, "LastName" varchar(20) NOT NULL, "Company" varchar(80),
  "Address" varchar(70), "Phone" varchar(24), "Email" varchar(60) NOT NULL, "SupportRepId" int REFERENCES "Employee");
CREATE TABLE "Invoice" (
  "InvoiceId" int PRIMARY KEY, "CustomerId" int NOT NULL REFERENCES "Customer", "InvoiceDate" timestamp NOT NULL,
  "BillingCountry" varchar(40), "Total" numeric(10, 2) NOT NULL);
CREATE TABLE "InvoiceLine" (
  "InvoiceLineId" int PRIMARY KEY, "InvoiceId" int NOT NULL REFERENCES "Invoice", "TrackId" int NOT NULL REFERENCES "Track",
  "UnitPrice" numeric(10, 2) NOT NULL, "Quantity" int NOT NULL);
-- Names that differ in case alone, and one with quotes, a dot, a percent sign and more than ASCII.
CREATE TABLE "invoice" (id int PRIMARY KEY, "Invoice" int REFERENCES "Invoice", "INVOICE" text);
CREATE TABLE "Ünit ""7"".50% off" ("Id %s" int PRIMARY KEY, "a.b" text, "it's" text, "naïve ""x""" text, "%" numeric);
CREATE VIEW "TracksOfAlbums" AS SELECT "Title", "Name", "Milliseconds" / 1000 AS "Seconds" FROM "Album" JOIN "Track" USING ("AlbumId");

INSERT INTO "Artist" SELECT n, nullif('Band ' || n, 'Band 7') FROM generate_series(1, 15) n;
INSERT INTO "Album" SELECT n, 'Record No. ' || n, n % 15 + 1 FROM generate_series(1, 30) n;
INSERT INTO "Genre" SELECT n, 'Style ' || n FROM generate_series(1, 5) n;
INSERT INTO "MediaType" SELECT n, 'Medium ' || n FROM generate_series(1, 3) n;
INSERT INTO "Track"
  SELECT n, 'Song ' || n, nullif(n % 31, 0), n % 3 + 1, nullif(n % 6, 0), CASE WHEN n % 2 = 0 THEN 'Writer & Söhne' END,
    180000 + n * 711, n * 1000, 0.99 FROM generate_series(1, 95) n;
INSERT INTO "Playlist" SELECT n, 'Mix ' || n FROM generate_series(1, 6) n;
INSERT INTO "PlaylistTrack" SELECT p, t FROM generate_series(1, 6) p, generate_series(1, 95) t WHERE t % (p + 2) = 0;
INSERT INTO "Employee"
  SELECT n, 'Worker', 'Lee' || n, 'Clerk', CASE WHEN n > 1 THEN n / 2 END, '1980-02-28'::timestamp + n * interval '1 year',
    '2020-01-01', NULL, 'lee' || n || '@music.example' FROM generate_series(1, 8) n;
INSERT INTO "Customer"
  SELECT n, 'Jo' || n, 'Listener', nullif('Firm ' || n % 4, 'Firm 0'), n || ' High Street', '+49 ' || n, 'jo' || n || '@mail.example',
    n % 8 + 1 FROM generate_series(1, 40) n;
INSERT INTO "Invoice" SELECT n, n % 40 + 1, '2024-05-01'::timestamp + n * interval '5 h', 'Land', n * 0.99 FROM generate_series(1, 70) n;
INSERT INTO "InvoiceLine" SELECT n, n % 70 + 1, n % 95 + 1, 0.99, n % 3 + 1 FROM generate_series(1, 99) n;
INSERT INTO "invoice" SELECT n, n, 'old ' || n FROM generate_series(1, 9) n;
INSERT INTO "Ünit ""7"".50% off" SELECT n, 'dot', 'it''s', '%s "' || n, n / 3.0 FROM generate_series(1, 9) n;
ANALYZE;
