/* SPDX-License-Identifier: BSD-2-Clause */
/* periscope-region: options, settings, and the life of one region. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/http/listen.h"
#include "api/region.h"
#include "userspace/base/file.h"
#include "userspace/base/log.h"
#include "userspace/base/opt.h"
#include "userspace/base/util.h"
#include "userspace/base/version.h"

#define CONF_PATH "/etc/periscope/region.yml"

struct options {
	bool dev, check_config, print_config, help, version;
	const char *config, *listen, *data, *access, *retention, *latency_offset, *log_level,
		*port_file;
};

#define ROW(...) OPT_ROW(struct options, __VA_ARGS__)
static const struct opt_row rows[] = {
	ROW("config", "FILE", STRING, config, "settings; default " CONF_PATH),
	ROW("dev", NULL, FLAG, dev, "one organisation, dev; no settings file"),
	ROW("listen", "HOST:PORT", STRING, listen, "where to serve; port 0 picks a free one"),
	ROW("data", "DIR", STRING, data, "folder of the store"),
	ROW("access", "PATH", STRING, access,
	    "tokens and organisations: a file, or a folder of them"),
	ROW("retention", "TIME", STRING, retention, "how long samples are kept, like 30d"),
	ROW("latency-offset", "TIME", STRING, latency_offset, "how far instant queries look back"),
	ROW("log-level", "LEVEL", STRING, log_level, "error, warn, info or debug"),
	ROW("port-file", "FILE", STRING, port_file, "write host:port there once serving"),
	ROW("check-config", NULL, FLAG, check_config, "check the settings and exit"),
	ROW("print-config", NULL, FLAG, print_config, "print the settings in effect and exit"),
	ROW("help", NULL, FLAG, help, "print this and exit"),
	ROW("version", NULL, FLAG, version, "print the version and exit"),
};
#undef ROW

static int complain(int code, const struct err *e)
{
	(void)fprintf(stderr, "periscope-region: %s\n", e->msg[0] ? e->msg : "failed");
	return code;
}

static int print(struct buf *text)
{
	struct err e = ERR_INIT;
	int code = opt_print(text, &e);

	return code == EXIT_DONE ? code : complain(code, &e);
}

static struct region_conf_source source_of(const struct options *o)
{
	return (struct region_conf_source){
		.path = o->dev      ? NULL
		        : o->config ? o->config
		                    : CONF_PATH,
		.overrides = { { "listen", o->listen, NULL },
		               { "data", o->data, NULL },
		               { "access", o->access, NULL },
		               { "retention", o->retention, NULL },
		               { "query.latency_offset", o->latency_offset, "latency-offset" },
		               { "log.level", o->log_level, "log-level" } },
	};
}

static int write_port_file(const char *path, const char *address, struct err *e)
{
	int r = path ? file_replace(path, address, strlen(address), 0644) : 0;

	return r < 0 ? err_set(e, r, "%s: %s", path, strerror(-r)) : 0;
}

static int failure_code(int r)
{
	return r == -EPERM || r == -EACCES ? EXIT_PRIVILEGE : EXIT_RUNTIME;
}

static int serve(const struct options *o, const struct region_conf_source *source,
                 struct region_conf *conf, struct err *e)
{
	struct region *region = NULL;
	char address[LISTEN_TEXT_MAX];

	region_block_signals();
	log_set_level((enum log_level)conf->log_level);
	int r = region_open(&region, conf, source, e);

	if (r == 0)
		r = region_listen(region, address, e);
	if (r == 0)
		r = write_port_file(o->port_file, address, e);
	if (r == 0) {
		log_info("serving", STRV("address", address), STRV("version", PERISCOPE_VERSION));
		region_run(region);
	}
	region_close(region);
	return r < 0 ? complain(failure_code(r), e) : EXIT_DONE;
}

static int with_conf(const struct options *o, struct region_conf *conf, struct err *e)
{
	const struct region_conf_source source = source_of(o);
	struct buf out = BUF_INIT;

	if (region_conf_check_options(&source, e) < 0)
		return complain(EXIT_USAGE, e);
	if (region_conf_read(&source, conf, e) < 0)
		return complain(EXIT_CONFIG, e);
	if (!o->print_config && !o->check_config)
		return serve(o, &source, conf, e);
	if (o->print_config)
		conf_print(&region_conf_schema, conf, &out);
	else
		buf_puts(&out, "the settings are valid\n");
	return print(&out);
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct region_conf conf = { 0 };
	struct buf out = BUF_INIT;
	struct err e = ERR_INIT;

	if (opt_parse(rows, ARRAY_SIZE(rows), argc, argv, &o, &e) < 0)
		return complain(EXIT_USAGE, &e);
	if (o.help) {
		opt_help("periscope-region", "Stores the metrics of a region and answers queries.",
		         rows, ARRAY_SIZE(rows), &out);
		return print(&out);
	}
	if (o.version) {
		buf_printf(&out, "periscope-region " PERISCOPE_VERSION " (commit %s)\n",
		           build_commit);
		return print(&out);
	}
	if (o.dev && (o.config || !o.data)) {
		(void)err_set(&e, -EINVAL,
		              o.config ? "--dev and --config exclude each other"
		                       : "--dev needs --data DIR");
		return complain(EXIT_USAGE, &e);
	}
	int code = with_conf(&o, &conf, &e);

	conf_done(&region_conf_schema, &conf);
	return code;
}
