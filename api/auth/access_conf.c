/* SPDX-License-Identifier: BSD-2-Clause */
#include "api/auth/access_conf.h"

#include "userspace/base/util.h"

#define ID_MAX 9007199254740992.0 /* 2^53: what a range check in doubles can tell apart */

#define ROW(strukt, k, t, field, ...)                                                   \
	{                                                                               \
		.key = (k), .type = CONF_##t, .offset = offsetof(struct strukt, field), \
		__VA_ARGS__                                                             \
	}
#define SCHEMA(name, strukt, keyed)                    \
	static const struct conf_schema name = {       \
		.rows = name##_rows,                   \
		.n = ARRAY_SIZE(name##_rows),          \
		.struct_bytes = sizeof(struct strukt), \
		.key_offset = (keyed),                 \
	}

/* clang-format off */
static const struct conf_row app_rows[] = {
	ROW(access_conf_app, "id", INT, id, .default_text = "0", .min = 0, .max = ID_MAX,
	    .sentence = "Number of the app in FlyV1 tokens."),
};
SCHEMA(app, access_conf_app, offsetof(struct access_conf_app, name));

static const struct conf_row org_rows[] = {
	ROW(access_conf_org, "id", INT, id, .default_text = "0", .min = 0, .max = ID_MAX,
	    .sentence = "Number of the organisation in FlyV1 tokens."),
	ROW(access_conf_org, "retention", DURATION, retention_ms, .default_text = "0s", .min = 0,
	    .max = 100 * 31536000e3, .sentence = "How long its samples are kept, if shorter; 0 = as all."),
	ROW(access_conf_org, "series_max", INT, series_max, .default_text = "0", .min = 0,
	    .max = ID_MAX, .sentence = "Series with recent samples; 0 = no limit."),
	ROW(access_conf_org, "new_series_per_hour_max", INT, new_series_per_hour_max,
	    .default_text = "0", .min = 0, .max = ID_MAX, .sentence = "New series in an hour; 0 = no limit."),
	ROW(access_conf_org, "samples_per_second_max", INT, samples_per_s_max, .default_text = "0",
	    .min = 0, .max = ID_MAX,
	    .sentence = "Samples in a second, on average over ten; 0 = no limit."),
	ROW(access_conf_org, "apps", STRUCTS, apps, .sub = &app,
	    .sentence = "Apps of the organisation, by the value of the label app."),
};
SCHEMA(org, access_conf_org, offsetof(struct access_conf_org, name));

static const struct conf_row token_rows[] = {
	ROW(access_conf_token, "sha256", STRING, sha256,
	    .sentence = "SHA-256 of the token, in hexadecimal."),
	ROW(access_conf_token, "organisation", STRING, organisation,
	    .sentence = "Organisation that the token is for; \"*\" = every one."),
	ROW(access_conf_token, "scopes", STRINGS, scopes, .default_text = "",
	    .sentence = "What it is for: read, write, admin, host."),
	ROW(access_conf_token, "apps", STRINGS, apps, .default_text = "",
	    .sentence = "Apps that it reaches; none named = all."),
	ROW(access_conf_token, "expires", STRING, expires, .default_text = "",
	    .sentence = "When it stops being valid, like 2027-01-31T00:00:00Z; empty = never."),
};
SCHEMA(token, access_conf_token, offsetof(struct access_conf_token, name));

static const struct conf_row key_rows[] = {
	ROW(access_conf_key, "kid", STRING, kid,
	    .sentence = "Name of the key inside of tokens, in hexadecimal."),
	ROW(access_conf_key, "location", STRING, location,
	    .default_text = "https://api.fly.io/v1",
	    .sentence = "Location of the tokens that are signed with it."),
	ROW(access_conf_key, "key_file", STRING, key_file,
	    .sentence = "File with the key, in base64; nobody else may read it."),
};
SCHEMA(key, access_conf_key, -1);

static const struct conf_row third_party_rows[] = {
	ROW(access_conf_third_party, "location", STRING, location,
	    .sentence = "Location of its discharges."),
	ROW(access_conf_third_party, "key_file", STRING, key_file,
	    .sentence = "File with the 32-byte key shared with it, in base64."),
};
SCHEMA(third_party, access_conf_third_party, -1);

static const struct conf_row rows[] = {
	ROW(access_conf, "organisations", STRUCTS, organisations, .sub = &org,
	    .sentence = "Organisations that are served, besides those of the settings."),
	ROW(access_conf, "tokens", STRUCTS, tokens, .sub = &token,
	    .sentence = "Opaque tokens."),
	ROW(access_conf, "flyv1_keys", STRUCTS, keys, .sub = &key,
	    .sentence = "Keys of FlyV1 tokens."),
	ROW(access_conf, "third_parties", STRUCTS, third_parties, .sub = &third_party,
	    .sentence = "Third parties whose attestations are believed."),
	ROW(access_conf, "revoked", STRINGS, revoked, .default_text = "",
	    .sentence = "FlyV1 tokens that are refused: names (UUIDs), or kid:HEX for all of a key."),
};
/* clang-format on */

const struct conf_schema access_conf_schema = {
	.rows = rows,
	.n = ARRAY_SIZE(rows),
	.struct_bytes = sizeof(struct access_conf),
	.key_offset = -1,
};
