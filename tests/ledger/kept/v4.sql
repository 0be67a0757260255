BEGIN TRANSACTION;
CREATE TABLE accounts (
	account TEXT NOT NULL, 
	gateway TEXT NOT NULL, 
	simulated BOOLEAN NOT NULL, 
	checked_at BIGINT NOT NULL, 
	PRIMARY KEY (account)
);
INSERT INTO "accounts" VALUES('evolink@http://127.0.0.1:8787/evolink#d1f7f5e7','evolink',1,1795905136742529);
INSERT INTO "accounts" VALUES('apiin@http://127.0.0.1:8787/apiin#00e912cf','apiin',1,1795905140647351);
CREATE TABLE admissions (
	run_id TEXT NOT NULL, 
	job_key TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	message TEXT NOT NULL, 
	usd BIGINT NOT NULL, 
	cheapest_usd BIGINT, 
	for_good BOOLEAN NOT NULL, 
	PRIMARY KEY (run_id, job_key)
);
CREATE TABLE attempts (
	attempt_id TEXT NOT NULL, 
	job_key TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	slots TEXT NOT NULL, 
	surplus BOOLEAN NOT NULL, 
	purpose TEXT NOT NULL, 
	gateway TEXT NOT NULL, 
	model TEXT NOT NULL, 
	account TEXT NOT NULL, 
	state TEXT NOT NULL, 
	task_id TEXT, 
	route_reason TEXT NOT NULL, 
	cheapest_usd BIGINT NOT NULL, 
	quoted_usd BIGINT NOT NULL, 
	reserved_usd BIGINT NOT NULL, 
	price_usd BIGINT NOT NULL, 
	price_credits BIGINT, 
	price_highest_usd BIGINT NOT NULL, 
	price_as_of TEXT NOT NULL, 
	billed_usd BIGINT NOT NULL, 
	at_risk_usd BIGINT NOT NULL, 
	billed_credits BIGINT, 
	cost_basis TEXT NOT NULL, 
	budgets TEXT NOT NULL, 
	lease_owner TEXT NOT NULL, 
	lease_until BIGINT NOT NULL, 
	intent_at BIGINT NOT NULL, 
	submitted_at BIGINT, 
	completed_at BIGINT, 
	expires_at BIGINT, 
	estimate_s FLOAT, 
	not_found INTEGER NOT NULL, 
	not_found_since BIGINT, 
	model_reported TEXT, 
	error_code TEXT, 
	error_class TEXT, 
	error_message TEXT, 
	callback_sha256 TEXT, 
	next_look_at BIGINT, 
	warnings TEXT NOT NULL, 
	uploads TEXT NOT NULL, 
	PRIMARY KEY (attempt_id), 
	CONSTRAINT attempts_by_task UNIQUE (account, task_id)
);
INSERT INTO "attempts" VALUES('06615dbfbb4ce038cf7709fb','fine/image/5041848e27dddd361b0dd60d06585e916f6894308037f84d6079aab71e6a3825','ecf97216-e457-48c4-80db-f4d3017a6fc0','[0]',0,'first','evolink','seedream-4.5','evolink@http://127.0.0.1:8787/evolink#d1f7f5e7','not_sent',NULL,'cheapest',31000,31000,31000,31000,2250000,31000,'2026-11-01',0,0,NULL,'none','["run:ecf97216-e457-48c4-80db-f4d3017a6fc0", "day:evolink:2026-11-28"]','c4fe06d6eaf77763',1795905196842991,1795905136840692,NULL,NULL,NULL,NULL,0,NULL,NULL,'rate_limit_error','rate','too many requests (a fault of the sandbox)',NULL,NULL,'[]','[]');
INSERT INTO "attempts" VALUES('06615dbfbb4d2d7b0773861b','disputed/image/cbb9c2ee017cfe624fd3db9d060e6506f63f9cb3ad57ab7f11e5d1653a6884f8','ecf97216-e457-48c4-80db-f4d3017a6fc0','[0]',0,'first','evolink','seedream-4.5','evolink@http://127.0.0.1:8787/evolink#d1f7f5e7','archived','task-unified-1795905136-o301wmz84h','cheapest',31000,31000,31000,31000,2250000,31000,'2026-11-01',31000,0,2250000,'reported','["run:ecf97216-e457-48c4-80db-f4d3017a6fc0", "day:evolink:2026-11-28"]','c4fe06d6eaf77763',1795905196847014,1795905136846659,1795905136864700,1795905137008740,1795991537006752,0.0,0,NULL,'doubao-seedream-4.5',NULL,NULL,NULL,NULL,NULL,'[]','[]');
INSERT INTO "attempts" VALUES('06615dbfbb54e426493ce3b9','unknown/image/ff47cfab7d51c433d49d21b186745cecedb8731bd898fe6e128417a053913f0d','ecf97216-e457-48c4-80db-f4d3017a6fc0','[0]',0,'first','evolink','seedream-4.5','evolink@http://127.0.0.1:8787/evolink#d1f7f5e7','unknown',NULL,'cheapest',31000,31000,31000,31000,2250000,31000,'2026-11-01',0,31000,NULL,'none','["run:ecf97216-e457-48c4-80db-f4d3017a6fc0", "day:evolink:2026-11-28"]','c4fe06d6eaf77763',1795905196847014,1795905136847122,1795905136847122,NULL,NULL,NULL,0,NULL,NULL,'unknown','transient','the connection broke after sending: ConnectTimeout: Server disconnected',NULL,NULL,'[]','[]');
INSERT INTO "attempts" VALUES('06615dbfbb54f469488b6bc3','given-up/image/5763386cc9835e55e8ac7d062d6a1bde6cf4b6b1eb17dc4e3e30d82de5e5fcff','ecf97216-e457-48c4-80db-f4d3017a6fc0','[0]',0,'first','evolink','seedream-4.5','evolink@http://127.0.0.1:8787/evolink#d1f7f5e7','lost',NULL,'cheapest',31000,31000,31000,31000,2250000,31000,'2026-11-01',0,31000,NULL,'none','["run:ecf97216-e457-48c4-80db-f4d3017a6fc0", "day:evolink:2026-11-28"]','c4fe06d6eaf77763',1795905196847014,1795905136847404,1795905136847404,1795905142486837,NULL,NULL,0,NULL,NULL,'lost','transient','given up by operator',NULL,NULL,'[]','[]');
INSERT INTO "attempts" VALUES('06615dbfbb54ff1dfc1b9c4d','failed/image/1ec4b46e2dbf58314eba3655370cada9241d7b7b2562e8f549903e83f95636fc','ecf97216-e457-48c4-80db-f4d3017a6fc0','[0]',0,'first','evolink','seedream-4.5','evolink@http://127.0.0.1:8787/evolink#d1f7f5e7','failed','task-unified-1795905136-9ef9xrbx9d','cheapest',31000,31000,31000,31000,2250000,31000,'2026-11-01',31000,0,2250000,'reported','["run:ecf97216-e457-48c4-80db-f4d3017a6fc0", "day:evolink:2026-11-28"]','c4fe06d6eaf77763',1795905196847014,1795905136847651,1795905136866887,1795905137009623,NULL,0.1,0,NULL,'doubao-seedream-4.5','service_error','transient','the task failed (a fault of the sandbox)',NULL,NULL,'[]','[]');
INSERT INTO "attempts" VALUES('06615dbfbb55080f70e50c08','refused/image/696f1c30be1792e84507b8dfbe6aba187ab2d7ac090e51287411beac244efe4d','ecf97216-e457-48c4-80db-f4d3017a6fc0','[0]',0,'first','evolink','seedream-4.5','evolink@http://127.0.0.1:8787/evolink#d1f7f5e7','failed',NULL,'cheapest',31000,31000,31000,31000,2250000,31000,'2026-11-01',0,0,NULL,'none','["run:ecf97216-e457-48c4-80db-f4d3017a6fc0", "day:evolink:2026-11-28"]','c4fe06d6eaf77763',1795905196847980,1795905136847907,1795905136847907,1795905136867080,NULL,NULL,0,NULL,NULL,'content_policy_violation','content','content_policy_violation: the prompt was refused (a fault of the sandbox)',NULL,NULL,'[]','[]');
INSERT INTO "attempts" VALUES('06615dbfbb55146b180503ca','cancelled/image/e389f0155ad07d08ed9abc1d6d6e626abbf14dda661e2ce404ceca58206eef2d','ecf97216-e457-48c4-80db-f4d3017a6fc0','[0]',0,'first','evolink','seedream-4.5','evolink@http://127.0.0.1:8787/evolink#d1f7f5e7','cancelled','task-unified-1795905136-hm4a3gu46a','cheapest',31000,31000,31000,31000,2250000,31000,'2026-11-01',0,0,0,'reported','["run:ecf97216-e457-48c4-80db-f4d3017a6fc0", "day:evolink:2026-11-28"]','c4fe06d6eaf77763',1795905196847980,1795905136848143,1795905136867839,1795905137010316,NULL,0.1,0,NULL,'doubao-seedream-4.5','request_cancelled','cancelled','the task was cancelled (a fault of the sandbox)',NULL,NULL,'[]','[]');
INSERT INTO "attempts" VALUES('06615dbfbb551e26c62e11f0','expired/image/d2362d48d46d10a6c2149bd267c6d815a7013a971f08c28f89b8b6915bd15de5','ecf97216-e457-48c4-80db-f4d3017a6fc0','[0]',0,'first','evolink','seedream-4.5','evolink@http://127.0.0.1:8787/evolink#d1f7f5e7','expired','task-unified-1795905136-lmya7lqa42','cheapest',31000,31000,31000,31000,2250000,31000,'2026-11-01',31000,0,2250000,'reported','["run:ecf97216-e457-48c4-80db-f4d3017a6fc0", "day:evolink:2026-11-28"]','c4fe06d6eaf77763',1795905196847980,1795905136848371,1795905136867957,1795905137010654,1795991537006843,0.0,0,NULL,'doubao-seedream-4.5','expired',NULL,'the link answers HTTP 404',NULL,NULL,'[]','[]');
INSERT INTO "attempts" VALUES('06615dbfbb552d081632c569','quarantined/image/c68baf75dec77936490deb0ca47fe8911f12628ce4a576db4b42b0fc1ade0c95','ecf97216-e457-48c4-80db-f4d3017a6fc0','[0]',0,'first','evolink','seedream-4.5','evolink@http://127.0.0.1:8787/evolink#d1f7f5e7','failed','task-unified-1795905136-vg6ljhd8pt','cheapest',31000,31000,31000,31000,2250000,31000,'2026-11-01',31000,0,2250000,'reported','["run:ecf97216-e457-48c4-80db-f4d3017a6fc0", "day:evolink:2026-11-28"]','c4fe06d6eaf77763',1795905196847980,1795905136848601,1795905136868025,1795905137010849,1795991537006851,0.0,0,NULL,'doubao-seedream-4.5','undecodable',NULL,'no picture that can be read: 505 bytes that begin with ''ÿØÿà\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00ÿþ\x00v'': Truncated File Read',NULL,NULL,'[]','[]');
INSERT INTO "attempts" VALUES('06615dbfbb5536c9af1eaecf','fewer/image/46d9fc31a09bac23dc0d611307ddd9e9eb141e8797468c6cdeb496069946eb4d','ecf97216-e457-48c4-80db-f4d3017a6fc0','[0, 1]',0,'first','evolink','seedream-4.5','evolink@http://127.0.0.1:8787/evolink#d1f7f5e7','archived','task-unified-1795905136-ie8us4tyft','cheapest',62000,62000,62000,31000,2250000,31000,'2026-11-01',31000,0,2250000,'reported','["run:ecf97216-e457-48c4-80db-f4d3017a6fc0", "day:evolink:2026-11-28"]','c4fe06d6eaf77763',1795905196848986,1795905136848822,1795905136868092,1795905137011018,1795991537006859,0.1,0,NULL,'doubao-seedream-4.5',NULL,NULL,NULL,NULL,NULL,'[]','[]');
INSERT INTO "attempts" VALUES('06615dbfbb55414d109e0be9','in-flight/image/551c295d3ae8eee20ca8279c15d9a465707062cf873cfc04fe0900afd36e9d7b','ecf97216-e457-48c4-80db-f4d3017a6fc0','[0]',0,'first','evolink','seedream-4.5','evolink@http://127.0.0.1:8787/evolink#d1f7f5e7','accepted','task-unified-1795905136-wyl8bkku70','cheapest',31000,31000,31000,31000,2250000,31000,'2026-11-01',0,0,NULL,'none','["run:ecf97216-e457-48c4-80db-f4d3017a6fc0", "day:evolink:2026-11-28"]','c4fe06d6eaf77763',1795905196848986,1795905136849209,1795905136868152,NULL,NULL,0.1,0,NULL,'doubao-seedream-4.5',NULL,NULL,NULL,NULL,NULL,'[]','[]');
INSERT INTO "attempts" VALUES('06615dbfbe7549ca30d1fd62','fine/image/5041848e27dddd361b0dd60d06585e916f6894308037f84d6079aab71e6a3825','ecf97216-e457-48c4-80db-f4d3017a6fc0','[0]',0,'first','evolink','seedream-4.5','evolink@http://127.0.0.1:8787/evolink#d1f7f5e7','archived','task-unified-1795905137-equndrwleu','cheapest',31000,31000,31000,31000,2250000,31000,'2026-11-01',31000,0,2250000,'reported','["run:ecf97216-e457-48c4-80db-f4d3017a6fc0", "day:evolink:2026-11-28"]','c4fe06d6eaf77763',1795905197055020,1795905137055160,1795905137057250,1795905137194305,1795991537193768,0.0,0,NULL,'doubao-seedream-4.5',NULL,NULL,NULL,NULL,NULL,'[]','[]');
INSERT INTO "attempts" VALUES('06615dbff666caf6f5d5bf87','disputed-price/image/f6c731efde5331fe025f84d7a722190393e4d3dd6c76c78c6c6853e194a00c89','d3102ef2-873e-4a71-9bb7-6b5077ec583e','[0]',0,'first','apiin','seedream-4.5','apiin@http://127.0.0.1:8787/apiin#00e912cf','archived','n30pjs0g4b6cp89b3fw_seed','cheapest',24000,24000,120000,24000,12000000,120000,'2026-11-01',24000,96000,12000000,'computed','[]','78956e3885538cbb',1795905200714988,1795905140713649,1795905140718340,1795905142363278,NULL,NULL,0,NULL,'seedream/4.5-text-to-image',NULL,NULL,NULL,NULL,NULL,'[]','[]');
INSERT INTO "attempts" VALUES('06615dc035f4dc22c56a0c4a','delivered/image/48a27da5b46ad74034cafbed32329d21c9a02dcf543a38a4a7e2568159e47aee','aaebc270-784d-4226-9369-8bfa5c6fa041','[0]',0,'first','evolink','seedream-4.5','evolink@http://127.0.0.1:8787/evolink#d1f7f5e7','delivered','task-unified-1795905144-3cuecyc6q3','cheapest',31000,31000,31000,31000,2250000,31000,'2026-11-01',31000,0,2250000,'reported','["day:evolink:2026-11-28"]','ef99a0659b05b357',1795905204882980,1795905144879089,1795905144898621,1795905144984456,1795991544981533,0.1,0,NULL,'doubao-seedream-4.5',NULL,NULL,NULL,NULL,NULL,'[]','[]');
INSERT INTO "attempts" VALUES('06615dc0b0c2b3d8a950ce77','intent/image/c1016e500c87595de21a522742d852056268e02d64f558766dbeeafb18f13d77','3aa4c897-2587-4621-a67e-f201ac7f4065','[0]',0,'first','evolink','seedream-4.5','evolink@http://127.0.0.1:8787/evolink#d1f7f5e7','intent',NULL,'cheapest',31000,31000,31000,31000,2250000,31000,'2026-11-01',0,0,NULL,'none','["day:evolink:2026-11-28"]','c5651f7140350f61',1795905212934998,1795905152927443,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'[]','[]');
CREATE TABLE budgets (
	budget_key TEXT NOT NULL, 
	cap_usd BIGINT NOT NULL, 
	reserved_usd BIGINT NOT NULL, 
	settled_usd BIGINT NOT NULL, 
	PRIMARY KEY (budget_key)
);
INSERT INTO "budgets" VALUES('run:ecf97216-e457-48c4-80db-f4d3017a6fc0',5000000,62000,217000);
INSERT INTO "budgets" VALUES('day:evolink:2026-11-28',25000000,93000,248000);
CREATE TABLE callbacks (
	token_sha256 TEXT NOT NULL, 
	task_id TEXT NOT NULL, 
	received_at BIGINT NOT NULL, 
	judged TEXT, 
	PRIMARY KEY (token_sha256, task_id)
);
CREATE TABLE caps (
	cap_key TEXT NOT NULL, 
	usd_per_day BIGINT NOT NULL, 
	zone TEXT NOT NULL, 
	PRIMARY KEY (cap_key)
);
INSERT INTO "caps" VALUES('evolink',25000000,'Europe/Berlin');
CREATE TABLE copies (
	attempt_id TEXT NOT NULL, 
	ordinal INTEGER NOT NULL, 
	archive TEXT NOT NULL, 
	path TEXT NOT NULL, 
	PRIMARY KEY (attempt_id, ordinal, archive)
);
INSERT INTO "copies" VALUES('06615dbfbb5536c9af1eaecf',0,'/srv/shop/out','images/fewer/image-46d9fc31-0.jpg');
INSERT INTO "copies" VALUES('06615dbfbb4d2d7b0773861b',0,'/srv/shop/out','images/disputed/image-cbb9c2ee-0.jpg');
INSERT INTO "copies" VALUES('06615dbfbb552d081632c569',0,'/srv/shop/out','quarantine/06615dbfbb552d081632c569-0.bin');
INSERT INTO "copies" VALUES('06615dbfbe7549ca30d1fd62',0,'/srv/shop/out','images/fine/image-5041848e-0.jpg');
INSERT INTO "copies" VALUES('06615dbff666caf6f5d5bf87',0,'/srv/shop/out','images/disputed-price/image-f6c731ef-0.jpg');
CREATE TABLE derived (
	attempt_id TEXT NOT NULL, 
	ordinal INTEGER NOT NULL, 
	archive TEXT NOT NULL, 
	profile TEXT NOT NULL, 
	path TEXT NOT NULL, 
	sha256 TEXT NOT NULL, 
	bytes BIGINT NOT NULL, 
	width INTEGER NOT NULL, 
	height INTEGER NOT NULL, 
	mime_type TEXT NOT NULL, 
	PRIMARY KEY (attempt_id, ordinal, archive)
);
CREATE TABLE events (
	event_id INTEGER NOT NULL, 
	at BIGINT NOT NULL, 
	kind TEXT NOT NULL, 
	attempt_id TEXT, 
	run_id TEXT, 
	detail TEXT NOT NULL, 
	PRIMARY KEY (event_id)
);
INSERT INTO "events" VALUES(1,1795905136868552,'attempt_unknown','06615dbfbb54e426493ce3b9','ecf97216-e457-48c4-80db-f4d3017a6fc0','the connection broke after sending: ConnectTimeout: Server disconnected');
INSERT INTO "events" VALUES(2,1795905136869117,'attempt_unknown','06615dbfbb54f469488b6bc3','ecf97216-e457-48c4-80db-f4d3017a6fc0','the connection broke after sending: ConnectTimeout: Server disconnected');
INSERT INTO "events" VALUES(3,1795905142488071,'attempt_lost','06615dbfbb54f469488b6bc3','ecf97216-e457-48c4-80db-f4d3017a6fc0','given up by operator');
INSERT INTO "events" VALUES(4,1795905142488850,'resolved','06615dbfbb54f469488b6bc3','ecf97216-e457-48c4-80db-f4d3017a6fc0','lost by operator');
CREATE TABLE jobs (
	job_key TEXT NOT NULL, 
	row_key TEXT NOT NULL, 
	shot TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	decides TEXT NOT NULL, 
	first_run_id TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	PRIMARY KEY (job_key)
);
INSERT INTO "jobs" VALUES('fine/image/5041848e27dddd361b0dd60d06585e916f6894308037f84d6079aab71e6a3825','fine','image','5041848e27dddd361b0dd60d06585e916f6894308037f84d6079aab71e6a3825','{"form":"v1","model":"seedream-4.5","operation":"generate","prompt":"A studio image of fine","size":{"ratio":"1:1","tier":"2K"}}','ecf97216-e457-48c4-80db-f4d3017a6fc0',1795905136840692);
INSERT INTO "jobs" VALUES('disputed/image/cbb9c2ee017cfe624fd3db9d060e6506f63f9cb3ad57ab7f11e5d1653a6884f8','disputed','image','cbb9c2ee017cfe624fd3db9d060e6506f63f9cb3ad57ab7f11e5d1653a6884f8','{"form":"v1","model":"seedream-4.5","operation":"generate","prompt":"A studio image of disputed","size":{"ratio":"1:1","tier":"2K"}}','ecf97216-e457-48c4-80db-f4d3017a6fc0',1795905136846659);
INSERT INTO "jobs" VALUES('unknown/image/ff47cfab7d51c433d49d21b186745cecedb8731bd898fe6e128417a053913f0d','unknown','image','ff47cfab7d51c433d49d21b186745cecedb8731bd898fe6e128417a053913f0d','{"form":"v1","model":"seedream-4.5","operation":"generate","prompt":"A studio image of unknown","size":{"ratio":"1:1","tier":"2K"}}','ecf97216-e457-48c4-80db-f4d3017a6fc0',1795905136847122);
INSERT INTO "jobs" VALUES('given-up/image/5763386cc9835e55e8ac7d062d6a1bde6cf4b6b1eb17dc4e3e30d82de5e5fcff','given-up','image','5763386cc9835e55e8ac7d062d6a1bde6cf4b6b1eb17dc4e3e30d82de5e5fcff','{"form":"v1","model":"seedream-4.5","operation":"generate","prompt":"A studio image of given-up","size":{"ratio":"1:1","tier":"2K"}}','ecf97216-e457-48c4-80db-f4d3017a6fc0',1795905136847404);
INSERT INTO "jobs" VALUES('failed/image/1ec4b46e2dbf58314eba3655370cada9241d7b7b2562e8f549903e83f95636fc','failed','image','1ec4b46e2dbf58314eba3655370cada9241d7b7b2562e8f549903e83f95636fc','{"form":"v1","model":"seedream-4.5","operation":"generate","prompt":"A studio image of failed","size":{"ratio":"1:1","tier":"2K"}}','ecf97216-e457-48c4-80db-f4d3017a6fc0',1795905136847651);
INSERT INTO "jobs" VALUES('refused/image/696f1c30be1792e84507b8dfbe6aba187ab2d7ac090e51287411beac244efe4d','refused','image','696f1c30be1792e84507b8dfbe6aba187ab2d7ac090e51287411beac244efe4d','{"form":"v1","model":"seedream-4.5","operation":"generate","prompt":"A studio image of refused","size":{"ratio":"1:1","tier":"2K"}}','ecf97216-e457-48c4-80db-f4d3017a6fc0',1795905136847907);
INSERT INTO "jobs" VALUES('cancelled/image/e389f0155ad07d08ed9abc1d6d6e626abbf14dda661e2ce404ceca58206eef2d','cancelled','image','e389f0155ad07d08ed9abc1d6d6e626abbf14dda661e2ce404ceca58206eef2d','{"form":"v1","model":"seedream-4.5","operation":"generate","prompt":"A studio image of cancelled","size":{"ratio":"1:1","tier":"2K"}}','ecf97216-e457-48c4-80db-f4d3017a6fc0',1795905136848143);
INSERT INTO "jobs" VALUES('expired/image/d2362d48d46d10a6c2149bd267c6d815a7013a971f08c28f89b8b6915bd15de5','expired','image','d2362d48d46d10a6c2149bd267c6d815a7013a971f08c28f89b8b6915bd15de5','{"form":"v1","model":"seedream-4.5","operation":"generate","prompt":"A studio image of expired","size":{"ratio":"1:1","tier":"2K"}}','ecf97216-e457-48c4-80db-f4d3017a6fc0',1795905136848371);
INSERT INTO "jobs" VALUES('quarantined/image/c68baf75dec77936490deb0ca47fe8911f12628ce4a576db4b42b0fc1ade0c95','quarantined','image','c68baf75dec77936490deb0ca47fe8911f12628ce4a576db4b42b0fc1ade0c95','{"form":"v1","model":"seedream-4.5","operation":"generate","prompt":"A studio image of quarantined","size":{"ratio":"1:1","tier":"2K"}}','ecf97216-e457-48c4-80db-f4d3017a6fc0',1795905136848601);
INSERT INTO "jobs" VALUES('fewer/image/46d9fc31a09bac23dc0d611307ddd9e9eb141e8797468c6cdeb496069946eb4d','fewer','image','46d9fc31a09bac23dc0d611307ddd9e9eb141e8797468c6cdeb496069946eb4d','{"form":"v1","model":"seedream-4.5","operation":"generate","prompt":"A studio image of fewer","size":{"ratio":"1:1","tier":"2K"}}','ecf97216-e457-48c4-80db-f4d3017a6fc0',1795905136848822);
INSERT INTO "jobs" VALUES('in-flight/image/551c295d3ae8eee20ca8279c15d9a465707062cf873cfc04fe0900afd36e9d7b','in-flight','image','551c295d3ae8eee20ca8279c15d9a465707062cf873cfc04fe0900afd36e9d7b','{"form":"v1","model":"seedream-4.5","operation":"generate","prompt":"A studio image of in-flight","size":{"ratio":"1:1","tier":"2K"}}','ecf97216-e457-48c4-80db-f4d3017a6fc0',1795905136849209);
INSERT INTO "jobs" VALUES('disputed-price/image/f6c731efde5331fe025f84d7a722190393e4d3dd6c76c78c6c6853e194a00c89','disputed-price','image','f6c731efde5331fe025f84d7a722190393e4d3dd6c76c78c6c6853e194a00c89','{"form":"v1","model":"seedream-4.5","operation":"generate","prompt":"A studio image of disputed-price","size":{"ratio":"1:1","tier":"2K"}}','d3102ef2-873e-4a71-9bb7-6b5077ec583e',1795905140713649);
INSERT INTO "jobs" VALUES('delivered/image/48a27da5b46ad74034cafbed32329d21c9a02dcf543a38a4a7e2568159e47aee','delivered','image','48a27da5b46ad74034cafbed32329d21c9a02dcf543a38a4a7e2568159e47aee','{"form":"v1","model":"seedream-4.5","operation":"generate","prompt":"A studio image of delivered","size":{"ratio":"1:1","tier":"2K"}}','aaebc270-784d-4226-9369-8bfa5c6fa041',1795905144879089);
INSERT INTO "jobs" VALUES('intent/image/c1016e500c87595de21a522742d852056268e02d64f558766dbeeafb18f13d77','intent','image','c1016e500c87595de21a522742d852056268e02d64f558766dbeeafb18f13d77','{"form":"v1","model":"seedream-4.5","operation":"generate","prompt":"A studio image of intent","size":{"ratio":"1:1","tier":"2K"}}','3aa4c897-2587-4621-a67e-f201ac7f4065',1795905152927443);
CREATE TABLE meta (
	"key" TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "meta" VALUES('ledger_id','b9f4f37db495717b5d273ac56c924d9a');
INSERT INTO "meta" VALUES('schema_version','4');
INSERT INTO "meta" VALUES('created_at','2026-11-28T22:32:16.645923+00:00');
INSERT INTO "meta" VALUES('kind','simulated');
CREATE TABLE pictures (
	attempt_id TEXT NOT NULL, 
	ordinal INTEGER NOT NULL, 
	job_key TEXT NOT NULL, 
	slot INTEGER, 
	url TEXT NOT NULL, 
	expires_at BIGINT, 
	state TEXT NOT NULL, 
	sha256 TEXT, 
	width INTEGER, 
	height INTEGER, 
	bytes BIGINT, 
	mime_type TEXT, 
	warnings TEXT, 
	archived_at BIGINT, 
	PRIMARY KEY (attempt_id, ordinal)
);
INSERT INTO "pictures" VALUES('06615dbfbb4d2d7b0773861b',0,'disputed/image/cbb9c2ee017cfe624fd3db9d060e6506f63f9cb3ad57ab7f11e5d1653a6884f8',0,'http://127.0.0.1:8787/evolink/dl/task-unified-1795905136-o301wmz84h/0.jpeg',1795991537006752,'archived','0007207d13e54fc5afbb8facdadaec17b01feb8840fc9e801ba56d38a8e90533',32,32,1018,'image/jpeg','[]',1795905137044507);
INSERT INTO "pictures" VALUES('06615dbfbb551e26c62e11f0',0,'expired/image/d2362d48d46d10a6c2149bd267c6d815a7013a971f08c28f89b8b6915bd15de5',0,'http://127.0.0.1:8787/evolink/dl/task-unified-1795905136-lmya7lqa42/0.jpeg',1795991537006843,'expired',NULL,NULL,NULL,NULL,NULL,NULL,1795905140527506);
INSERT INTO "pictures" VALUES('06615dbfbb552d081632c569',0,'quarantined/image/c68baf75dec77936490deb0ca47fe8911f12628ce4a576db4b42b0fc1ade0c95',0,'http://127.0.0.1:8787/evolink/dl/task-unified-1795905136-vg6ljhd8pt/0.jpeg',1795991537006851,'quarantined','86da76708cbe0f345aa4aa7f456370a643c516089bbea9fdb434cee3087f00c3',NULL,NULL,505,NULL,'[]',1795905137044661);
INSERT INTO "pictures" VALUES('06615dbfbb5536c9af1eaecf',0,'fewer/image/46d9fc31a09bac23dc0d611307ddd9e9eb141e8797468c6cdeb496069946eb4d',0,'http://127.0.0.1:8787/evolink/dl/task-unified-1795905136-ie8us4tyft/0.jpeg',1795991537006859,'archived','d76d2b4f031825e0cf11bdced08872bc79e746b11b355fbd89e0a050dcd2ab7c',32,32,1032,'image/jpeg','[]',1795905137042720);
INSERT INTO "pictures" VALUES('06615dbfbe7549ca30d1fd62',0,'fine/image/5041848e27dddd361b0dd60d06585e916f6894308037f84d6079aab71e6a3825',0,'http://127.0.0.1:8787/evolink/dl/task-unified-1795905137-equndrwleu/0.jpeg',1795991537193768,'archived','65ae0e5911463980cac757fd4d4671786a6644efed7f4a9ad4c24d77b4b56caf',32,32,1010,'image/jpeg','[]',1795905137199734);
INSERT INTO "pictures" VALUES('06615dbff666caf6f5d5bf87',0,'disputed-price/image/f6c731efde5331fe025f84d7a722190393e4d3dd6c76c78c6c6853e194a00c89',0,'http://127.0.0.1:8787/apiin/dl/n30pjs0g4b6cp89b3fw_seed/0.jpeg',NULL,'archived','aa6715b7dfcd43a6ba9c0a5a096d47b99706587227673612fb302d91127e5b29',32,32,1004,'image/jpeg','[]',1795905142371717);
INSERT INTO "pictures" VALUES('06615dc035f4dc22c56a0c4a',0,'delivered/image/48a27da5b46ad74034cafbed32329d21c9a02dcf543a38a4a7e2568159e47aee',0,'http://127.0.0.1:8787/evolink/dl/task-unified-1795905144-3cuecyc6q3/0.jpeg',1795991544981533,'delivered',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE rate_leases (
	account TEXT NOT NULL, 
	rate TEXT NOT NULL, 
	holder TEXT NOT NULL, 
	share BIGINT NOT NULL, 
	most BIGINT NOT NULL, 
	since BIGINT NOT NULL, 
	until BIGINT NOT NULL, 
	PRIMARY KEY (account, rate, holder)
);
INSERT INTO "rate_leases" VALUES('evolink@http://127.0.0.1:8787/evolink#d1f7f5e7','in_flight','c5651f7140350f61',400,400,1795905145285995,1795905160922003);
CREATE TABLE reviews (
	review_id TEXT NOT NULL, 
	row_key TEXT NOT NULL, 
	shot TEXT NOT NULL, 
	job_key TEXT NOT NULL, 
	attempt_id TEXT NOT NULL, 
	slot INTEGER NOT NULL, 
	verdict TEXT NOT NULL, 
	note TEXT, 
	prompt TEXT, 
	reviewer TEXT, 
	decided_at BIGINT NOT NULL, 
	applied_at BIGINT NOT NULL, 
	applied_by TEXT NOT NULL, 
	PRIMARY KEY (review_id)
);
INSERT INTO "reviews" VALUES('be9c0103336ab356b1d84aba0e75d7781a4dbd06fcd4ae5287568b901931fa42','fine','image','fine/image/5041848e27dddd361b0dd60d06585e916f6894308037f84d6079aab71e6a3825','06615dbfbe7549ca30d1fd62',0,'approved','as it should be',NULL,'a person',1795867200000000,1795905142507019,'operator');
CREATE TABLE runs (
	run_id TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	finished_at BIGINT, 
	alive_until BIGINT NOT NULL, 
	archive TEXT NOT NULL, 
	catalog_uri TEXT NOT NULL, 
	simulated BOOLEAN NOT NULL, 
	max_usd BIGINT, 
	PRIMARY KEY (run_id)
);
INSERT INTO "runs" VALUES('ecf97216-e457-48c4-80db-f4d3017a6fc0',1795905136806142,NULL,0,'/srv/shop/out','/srv/shop/products.csv',1,5000000);
INSERT INTO "runs" VALUES('d3102ef2-873e-4a71-9bb7-6b5077ec583e',1795905140677061,1795905142424148,0,'/srv/shop/out','/srv/shop/products.csv',1,NULL);
INSERT INTO "runs" VALUES('aaebc270-784d-4226-9369-8bfa5c6fa041',1795905144827423,NULL,0,'/srv/shop/out','/srv/shop/products.csv',1,NULL);
INSERT INTO "runs" VALUES('3aa4c897-2587-4621-a67e-f201ac7f4065',1795905145194177,NULL,0,'/srv/shop/out','/srv/shop/products.csv',1,NULL);
CREATE TABLE seen_uploads (
	uri TEXT NOT NULL, 
	identity TEXT NOT NULL, 
	name TEXT NOT NULL, 
	digest TEXT, 
	etag TEXT, 
	size BIGINT, 
	first_seen BIGINT NOT NULL, 
	last_seen BIGINT NOT NULL, 
	announced_at BIGINT, 
	PRIMARY KEY (uri, identity)
);
CREATE TABLE shards (
	run_id TEXT NOT NULL, 
	start BIGINT NOT NULL, 
	stop BIGINT NOT NULL, 
	done BIGINT NOT NULL, 
	alive_until BIGINT NOT NULL, 
	PRIMARY KEY (run_id, start, stop)
);
CREATE TABLE slots (
	job_key TEXT NOT NULL, 
	slot INTEGER NOT NULL, 
	state TEXT NOT NULL, 
	closed TEXT, 
	attempt_id TEXT NOT NULL, 
	PRIMARY KEY (job_key, slot)
);
INSERT INTO "slots" VALUES('fine/image/5041848e27dddd361b0dd60d06585e916f6894308037f84d6079aab71e6a3825',0,'filled',NULL,'06615dbfbe7549ca30d1fd62');
INSERT INTO "slots" VALUES('disputed/image/cbb9c2ee017cfe624fd3db9d060e6506f63f9cb3ad57ab7f11e5d1653a6884f8',0,'filled',NULL,'06615dbfbb4d2d7b0773861b');
INSERT INTO "slots" VALUES('unknown/image/ff47cfab7d51c433d49d21b186745cecedb8731bd898fe6e128417a053913f0d',0,'taken',NULL,'06615dbfbb54e426493ce3b9');
INSERT INTO "slots" VALUES('given-up/image/5763386cc9835e55e8ac7d062d6a1bde6cf4b6b1eb17dc4e3e30d82de5e5fcff',0,'closed','lost','06615dbfbb54f469488b6bc3');
INSERT INTO "slots" VALUES('failed/image/1ec4b46e2dbf58314eba3655370cada9241d7b7b2562e8f549903e83f95636fc',0,'closed','billed','06615dbfbb54ff1dfc1b9c4d');
INSERT INTO "slots" VALUES('refused/image/696f1c30be1792e84507b8dfbe6aba187ab2d7ac090e51287411beac244efe4d',0,'closed','content','06615dbfbb55080f70e50c08');
INSERT INTO "slots" VALUES('cancelled/image/e389f0155ad07d08ed9abc1d6d6e626abbf14dda661e2ce404ceca58206eef2d',0,'closed','refused','06615dbfbb55146b180503ca');
INSERT INTO "slots" VALUES('expired/image/d2362d48d46d10a6c2149bd267c6d815a7013a971f08c28f89b8b6915bd15de5',0,'closed','expired','06615dbfbb551e26c62e11f0');
INSERT INTO "slots" VALUES('quarantined/image/c68baf75dec77936490deb0ca47fe8911f12628ce4a576db4b42b0fc1ade0c95',0,'closed','billed','06615dbfbb552d081632c569');
INSERT INTO "slots" VALUES('fewer/image/46d9fc31a09bac23dc0d611307ddd9e9eb141e8797468c6cdeb496069946eb4d',0,'filled',NULL,'06615dbfbb5536c9af1eaecf');
INSERT INTO "slots" VALUES('fewer/image/46d9fc31a09bac23dc0d611307ddd9e9eb141e8797468c6cdeb496069946eb4d',1,'closed','fewer','06615dbfbb5536c9af1eaecf');
INSERT INTO "slots" VALUES('in-flight/image/551c295d3ae8eee20ca8279c15d9a465707062cf873cfc04fe0900afd36e9d7b',0,'taken',NULL,'06615dbfbb55414d109e0be9');
INSERT INTO "slots" VALUES('disputed-price/image/f6c731efde5331fe025f84d7a722190393e4d3dd6c76c78c6c6853e194a00c89',0,'filled',NULL,'06615dbff666caf6f5d5bf87');
INSERT INTO "slots" VALUES('delivered/image/48a27da5b46ad74034cafbed32329d21c9a02dcf543a38a4a7e2568159e47aee',0,'taken',NULL,'06615dc035f4dc22c56a0c4a');
INSERT INTO "slots" VALUES('intent/image/c1016e500c87595de21a522742d852056268e02d64f558766dbeeafb18f13d77',0,'taken',NULL,'06615dc0b0c2b3d8a950ce77');
CREATE TABLE sources (
	uri TEXT NOT NULL, 
	validator TEXT NOT NULL, 
	sha256 TEXT NOT NULL, 
	format TEXT NOT NULL, 
	width INTEGER NOT NULL, 
	height INTEGER NOT NULL, 
	bytes BIGINT NOT NULL, 
	flaw TEXT, 
	public BOOLEAN NOT NULL, 
	seen_at BIGINT NOT NULL, 
	PRIMARY KEY (uri)
);
CREATE TABLE uploads (
	upload_key TEXT NOT NULL, 
	account TEXT NOT NULL, 
	url TEXT NOT NULL, 
	file_id TEXT, 
	expires_at BIGINT NOT NULL, 
	used_at BIGINT NOT NULL, 
	PRIMARY KEY (upload_key)
);
CREATE TABLE watched_files (
	uri TEXT NOT NULL, 
	stamp TEXT NOT NULL, 
	digest TEXT, 
	looked_at BIGINT NOT NULL, 
	PRIMARY KEY (uri)
);
CREATE INDEX jobs_by_case ON jobs (lower(row_key));
CREATE INDEX jobs_by_row ON jobs (row_key, shot);
CREATE INDEX attempts_by_callback ON attempts (callback_sha256);
CREATE INDEX attempts_by_job ON attempts (job_key);
CREATE INDEX attempts_by_run ON attempts (run_id);
CREATE INDEX attempts_by_state ON attempts (state);
CREATE INDEX callbacks_by_time ON callbacks (received_at);
CREATE INDEX pictures_by_job ON pictures (job_key);
CREATE INDEX copies_by_path ON copies (archive, path);
CREATE INDEX uploads_by_account ON uploads (account, used_at);
CREATE INDEX reviews_by_attempt ON reviews (attempt_id);
CREATE INDEX reviews_by_row ON reviews (row_key, shot);
CREATE INDEX seen_uploads_waiting ON seen_uploads (announced_at);
COMMIT;
