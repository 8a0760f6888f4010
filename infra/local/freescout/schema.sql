-- The tables of FreeScout 1.8 on PostgreSQL, as its migrations leave them behind.
-- No foreign key is declared anywhere: every relation is by name only, so orphans are legal.
-- Times are "timestamp(0) without time zone" in the application's zone; JSON lives in text columns;
-- a deleted conversation has state 3, a deleted user status 3; password_resets has no primary key.

CREATE TABLE migrations (
  id serial PRIMARY KEY, migration varchar(191) NOT NULL, batch integer NOT NULL);

CREATE TABLE ltm_translations (
  id serial PRIMARY KEY, status integer NOT NULL DEFAULT 0, locale varchar(191) NOT NULL,
  "group" varchar(191) NOT NULL, key text NOT NULL, value text,
  created_at timestamp(0), updated_at timestamp(0), hash varchar(191));
ALTER TABLE ltm_translations ADD CONSTRAINT ltm_translations_hash_unique UNIQUE (hash);

CREATE TABLE users (
  id serial PRIMARY KEY,
  first_name varchar(20) NOT NULL, last_name varchar(30) NOT NULL,
  email varchar(100) NOT NULL, password varchar(255) NOT NULL,
  role smallint NOT NULL DEFAULT '1'::smallint,            -- 1 user, 2 admin
  timezone varchar(255) NOT NULL DEFAULT 'UTC',
  photo_url varchar(255),
  type smallint NOT NULL DEFAULT '1'::smallint,            -- 1 user, 2 robot
  invite_state smallint NOT NULL DEFAULT '3'::smallint,    -- 1 activated, 2 sent, 3 not invited
  invite_hash varchar(100),
  emails text,                                             -- alternate e-mails, comma separated
  job_title varchar(100), phone varchar(60),
  time_format smallint NOT NULL DEFAULT '2'::smallint,     -- 1 12h, 2 24h
  enable_kb_shortcuts boolean NOT NULL DEFAULT true,
  locked boolean NOT NULL DEFAULT false,
  remember_token varchar(100),
  created_at timestamp(0), updated_at timestamp(0),
  locale varchar(191),
  status smallint NOT NULL DEFAULT '1'::smallint,          -- 1 active, 2 disabled, 3 deleted
  permissions text);                                       -- JSON object/array
ALTER TABLE users ADD CONSTRAINT users_email_unique UNIQUE (email);
CREATE INDEX users_role_index ON users (role);
CREATE INDEX users_status_index ON users (status);

CREATE TABLE password_resets (                             -- no primary key
  email varchar(191) NOT NULL, token varchar(255) NOT NULL, created_at timestamp(0));
CREATE INDEX password_resets_email_index ON password_resets (email);

CREATE TABLE mailboxes (
  id serial PRIMARY KEY,
  name varchar(40) NOT NULL, email varchar(128) NOT NULL,
  aliases text,
  from_name smallint NOT NULL DEFAULT '1'::smallint, from_name_custom varchar(128),
  ticket_status smallint NOT NULL DEFAULT '2'::smallint,
  ticket_assignee smallint NOT NULL DEFAULT '2'::smallint,
  template smallint NOT NULL DEFAULT '1'::smallint,
  signature text,
  out_method smallint NOT NULL DEFAULT '1'::smallint,
  out_server text, out_username text, out_password text, out_port integer,
  out_encryption smallint NOT NULL DEFAULT '1'::smallint,
  in_server text, in_port integer NOT NULL DEFAULT 143, in_username varchar(100), in_password text,
  in_protocol smallint NOT NULL DEFAULT '1'::smallint,
  in_encryption smallint NOT NULL DEFAULT '1'::smallint,
  auto_reply_enabled boolean NOT NULL DEFAULT false, auto_reply_subject varchar(128), auto_reply_message text,
  office_hours_enabled boolean NOT NULL DEFAULT false,
  ratings boolean NOT NULL DEFAULT false,
  ratings_placement smallint NOT NULL DEFAULT '1'::smallint, ratings_text text,
  created_at timestamp(0), updated_at timestamp(0),
  in_validate_cert boolean NOT NULL DEFAULT true,
  in_imap_folders text, auto_bcc text, before_reply text, imap_sent_folder varchar(50),
  meta text, aliases_reply boolean NOT NULL DEFAULT false);
ALTER TABLE mailboxes ADD CONSTRAINT mailboxes_email_unique UNIQUE (email);

CREATE TABLE mailbox_user (
  id serial PRIMARY KEY, mailbox_id integer NOT NULL, user_id integer NOT NULL,
  after_send smallint NOT NULL DEFAULT '2'::smallint,
  hide boolean NOT NULL DEFAULT false, mute boolean NOT NULL DEFAULT false, access text);
ALTER TABLE mailbox_user ADD CONSTRAINT mailbox_user_user_id_mailbox_id_unique UNIQUE (user_id, mailbox_id);
CREATE INDEX mailbox_user_mailbox_id_index ON mailbox_user (mailbox_id);

CREATE TABLE activity_logs (                               -- polymorphic subject_* / causer_*
  id serial PRIMARY KEY, log_name varchar(191), description text NOT NULL,
  subject_id integer, subject_type varchar(255), causer_id integer, causer_type varchar(55),
  properties text, created_at timestamp(0), updated_at timestamp(0));
CREATE INDEX activity_logs_log_name_index ON activity_logs (log_name);

CREATE TABLE emails (
  id serial PRIMARY KEY, customer_id integer NOT NULL, email varchar(191) NOT NULL,
  type smallint NOT NULL DEFAULT '1'::smallint);           -- 1 work, 2 home, 3 other
ALTER TABLE emails ADD CONSTRAINT emails_email_unique UNIQUE (email);
CREATE INDEX emails_customer_id_index ON emails (customer_id);

CREATE TABLE customers (                                   -- e-mail is NOT here: see emails
  id serial PRIMARY KEY,
  first_name varchar(255), last_name varchar(255), company text, job_title text,
  photo_type smallint, photo_url varchar(255),
  phones text, websites text, social_profiles text,        -- JSON in text
  notes text, address text, city varchar(255), state varchar(255), zip varchar(12), country varchar(2),
  created_at timestamp(0), updated_at timestamp(0),
  channel smallint, channel_id text, meta text);
CREATE INDEX customers_first_name_last_name_index ON customers (first_name, last_name);

CREATE TABLE customer_channel (
  id serial PRIMARY KEY, customer_id integer NOT NULL, channel smallint NOT NULL, channel_id varchar(64) NOT NULL);
ALTER TABLE customer_channel ADD CONSTRAINT customer_channel_channel_channel_id_unique UNIQUE (channel, channel_id);
CREATE INDEX customer_channel_customer_id_index ON customer_channel (customer_id);

CREATE TABLE conversations (
  id serial PRIMARY KEY,
  number integer NOT NULL,                                 -- NOT unique in the schema
  threads_count integer NOT NULL DEFAULT 0,
  type smallint NOT NULL,                                  -- 1 email 2 phone 3 chat 4 custom
  folder_id integer NOT NULL,
  status smallint NOT NULL DEFAULT '1'::smallint,          -- 1 active 2 pending 3 closed 4 spam
  state smallint NOT NULL DEFAULT '1'::smallint,           -- 1 draft 2 published 3 deleted
  subject varchar(998), customer_email varchar(191),
  cc text, bcc text,                                       -- JSON array
  preview varchar(255) NOT NULL,
  imported boolean NOT NULL DEFAULT false, has_attachments boolean NOT NULL DEFAULT false,
  mailbox_id integer NOT NULL, user_id integer, customer_id integer,
  created_by_user_id integer, created_by_customer_id integer,
  source_via smallint NOT NULL, source_type smallint NOT NULL,
  closed_by_user_id integer,
  closed_at timestamp(0), user_updated_at timestamp(0), last_reply_at timestamp(0), last_reply_from smallint,
  read_by_user boolean NOT NULL DEFAULT false,
  created_at timestamp(0), updated_at timestamp(0),
  channel smallint, meta text, last_customer_reply_at timestamp(0));
CREATE INDEX conversations_folder_id_status_index ON conversations (folder_id, status);
CREATE INDEX conversations_mailbox_id_customer_id_index ON conversations (mailbox_id, customer_id);
CREATE INDEX conversations_user_id_mailbox_id_state_status_index ON conversations (user_id, mailbox_id, state, status);
CREATE INDEX conversations_mailbox_id_state_status_index ON conversations (mailbox_id, state, status);
CREATE INDEX conversations_folder_id_state_closed_at_index ON conversations (folder_id, state, closed_at);
CREATE INDEX conversations_state_mailbox_id_status_index ON conversations (state, mailbox_id, status);
CREATE INDEX conversations_mailbox_state_status_dates ON conversations (mailbox_id, state, status, last_reply_at, created_at);
CREATE INDEX conversations_customer_id_created_at_index ON conversations (customer_id, created_at);
CREATE INDEX conversations_mailbox_id_created_at_closed_at_index ON conversations (mailbox_id, created_at, closed_at);
CREATE INDEX conversations_customer_email_status_created_at_index ON conversations (customer_email, status, created_at);

CREATE TABLE folders (
  id serial PRIMARY KEY, mailbox_id integer NOT NULL, user_id integer, type smallint NOT NULL,
  total_count integer NOT NULL DEFAULT 0, active_count integer NOT NULL DEFAULT 0, meta text);
CREATE INDEX folders_mailbox_id_user_id_type_index ON folders (mailbox_id, user_id, type);

CREATE TABLE conversation_folder (
  id serial PRIMARY KEY, folder_id integer NOT NULL, conversation_id integer NOT NULL);
ALTER TABLE conversation_folder ADD CONSTRAINT conversation_folder_folder_id_conversation_id_unique UNIQUE (folder_id, conversation_id);

CREATE TABLE threads (
  id serial PRIMARY KEY, conversation_id integer NOT NULL, user_id integer,
  type smallint NOT NULL,                                  -- 1 customer 2 message 3 note 4 lineitem 8 chat
  status smallint NOT NULL DEFAULT '1'::smallint,          -- as conversations, plus 6 nochange
  state smallint NOT NULL DEFAULT '1'::smallint,           -- 1 draft 2 published 3 hidden 4 review
  action_type smallint, action_data varchar(255),
  body text, headers text,
  "from" varchar(191), "to" text, cc text, bcc text,       -- to/cc/bcc: JSON array
  has_attachments boolean NOT NULL DEFAULT false,
  message_id varchar(998),
  source_via smallint NOT NULL, source_type smallint NOT NULL,
  customer_id integer, created_by_user_id integer, created_by_customer_id integer,
  edited_by_user_id integer, edited_at timestamp(0), body_original text,
  first boolean NOT NULL DEFAULT false, saved_reply_id integer, send_status smallint,
  opened_at timestamp(0), created_at timestamp(0), updated_at timestamp(0),
  send_status_data text, subtype smallint, meta text, imported boolean NOT NULL DEFAULT false);
ALTER TABLE threads ADD CONSTRAINT threads_message_id_index UNIQUE (message_id);
CREATE INDEX threads_conversation_id_type_from_customer_id_index ON threads (conversation_id, type, "from", customer_id);
CREATE INDEX threads_conversation_id_created_at_index ON threads (conversation_id, created_at);
CREATE INDEX threads_created_at_index ON threads (created_at);
CREATE INDEX threads_type_state_created_at_index ON threads (type, state, created_at);
CREATE INDEX threads_created_by_user_id_created_at_index ON threads (created_by_user_id, created_at);

CREATE TABLE attachments (
  id serial PRIMARY KEY, thread_id integer, user_id integer, file_dir varchar(20),
  file_name varchar(255) NOT NULL, mime_type varchar(127) NOT NULL, type integer NOT NULL,
  size integer, embedded boolean NOT NULL DEFAULT false, token_type smallint NOT NULL DEFAULT '3'::smallint);
CREATE INDEX attachments_thread_id_embedded_index ON attachments (thread_id, embedded);

CREATE TABLE followers (
  id serial PRIMARY KEY, conversation_id integer NOT NULL, user_id integer NOT NULL, added_by_user_id integer);
ALTER TABLE followers ADD CONSTRAINT followers_conversation_id_user_id_unique UNIQUE (conversation_id, user_id);

CREATE TABLE subscriptions (
  id serial PRIMARY KEY, user_id integer NOT NULL, medium smallint NOT NULL, event smallint NOT NULL);
ALTER TABLE subscriptions ADD CONSTRAINT subscriptions_user_id_medium_event_unique UNIQUE (user_id, medium, event);
CREATE INDEX subscriptions_user_id_event_index ON subscriptions (user_id, event);

CREATE TABLE send_logs (
  id serial PRIMARY KEY, thread_id integer, customer_id integer, user_id integer,
  message_id varchar(998), email varchar(191) NOT NULL, mail_type smallint NOT NULL, status smallint NOT NULL,
  status_message text, created_at timestamp(0), updated_at timestamp(0), smtp_queue_id text);
CREATE INDEX send_logs_thread_id_index ON send_logs (thread_id);
CREATE INDEX send_logs_message_id_index ON send_logs (message_id);
CREATE INDEX send_logs_customer_id_mail_type_created_at_index ON send_logs (customer_id, mail_type, created_at);

CREATE TABLE notifications (                               -- polymorphic notifiable_*
  id uuid PRIMARY KEY, type varchar(191) NOT NULL, notifiable_id integer NOT NULL,
  notifiable_type varchar(191) NOT NULL, data text NOT NULL, read_at timestamp(0),
  created_at timestamp(0), updated_at timestamp(0));
CREATE INDEX notifications_notifiable_read ON notifications (notifiable_id, notifiable_type, read_at, created_at);

CREATE TABLE options (id serial PRIMARY KEY, name varchar(191) NOT NULL, value text NOT NULL);
ALTER TABLE options ADD CONSTRAINT options_name_unique UNIQUE (name);

CREATE TABLE modules (
  id serial PRIMARY KEY, alias varchar(191) NOT NULL,
  active boolean NOT NULL DEFAULT false, activated boolean NOT NULL DEFAULT false, license text);
ALTER TABLE modules ADD CONSTRAINT modules_alias_unique UNIQUE (alias);

CREATE TABLE jobs (
  id bigserial PRIMARY KEY, queue varchar(191) NOT NULL, payload text NOT NULL, attempts smallint NOT NULL,
  reserved_at integer, available_at integer NOT NULL, created_at integer NOT NULL);   -- epoch ints
CREATE INDEX jobs_queue_index ON jobs (queue);

CREATE TABLE failed_jobs (
  id bigserial PRIMARY KEY, connection text NOT NULL, queue text NOT NULL, payload text NOT NULL,
  exception text NOT NULL, failed_at timestamp(0) NOT NULL DEFAULT CURRENT_TIMESTAMP);

CREATE TABLE polycast_events (
  id serial PRIMARY KEY, channels text NOT NULL, event text NOT NULL, payload text NOT NULL, created_at timestamp(0));
CREATE INDEX polycast_events_created_at_index ON polycast_events (created_at);
