-- Tables of optional FreeScout modules (Time Tracking, Tags, Custom Fields). The column names are public knowledge,
-- from the modules' API documentation and clients; exact types and defaults are our reading.

CREATE TABLE timelogs (
  id serial PRIMARY KEY,
  conversation_id integer NOT NULL,
  conversation_status smallint NOT NULL DEFAULT 1,   -- same codes as conversations.status
  user_id integer NOT NULL,
  time_spent integer NOT NULL DEFAULT 0,             -- SECONDS
  paused boolean NOT NULL DEFAULT false,
  finished boolean NOT NULL DEFAULT false,           -- only finished rows are settled
  created_at timestamp(0), updated_at timestamp(0));
CREATE INDEX timelogs_conversation_id_user_id_index ON timelogs (conversation_id, user_id);
CREATE TABLE tags (id serial PRIMARY KEY, name varchar(191) NOT NULL UNIQUE, counter integer NOT NULL DEFAULT 0, color smallint NOT NULL DEFAULT 0);
CREATE TABLE conversation_tag (id serial PRIMARY KEY, conversation_id integer NOT NULL, tag_id integer NOT NULL, UNIQUE (conversation_id, tag_id));
CREATE TABLE custom_fields (id serial PRIMARY KEY, mailbox_id integer NOT NULL, name varchar(75) NOT NULL, type smallint NOT NULL DEFAULT 1,
  options text, required boolean NOT NULL DEFAULT false, sort_order integer NOT NULL DEFAULT 1);   -- options: JSON {"1":"Low",...}
CREATE TABLE conversation_custom_field (id serial PRIMARY KEY, conversation_id integer NOT NULL, custom_field_id integer NOT NULL, value text NOT NULL,
  UNIQUE (conversation_id, custom_field_id));
