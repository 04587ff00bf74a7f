/* SPDX-License-Identifier: BSD-2-Clause */
/* periscope-host: options, settings, and what to do with them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "userspace/base/alloc.h"
#include "userspace/base/log.h"
#include "userspace/base/opt.h"
#include "userspace/base/util.h"
#include "userspace/base/version.h"
#include "userspace/host/bpf_dump.h"
#include "userspace/host/host.h"
#include "userspace/host/host_conf.h"
#include "userspace/host/once.h"
#include "userspace/host/simulate.h"
#include "userspace/host/sources.h"

struct options {
	bool once, dump, check_config, print_config, help, version;
	const char *config, *log_level, *simulate, *tap;
	struct simulate_opts simulation; /* what @simulate says */
};

#define ROW(...) OPT_ROW(struct options, __VA_ARGS__)
static const struct opt_row rows[] = {
	ROW("config", "FILE", STRING, config, "settings; default " HOST_CONF_PATH),
	ROW("log-level", "LEVEL", STRING, log_level, "error, warn, info or debug"),
	ROW("once", NULL, FLAG, once, "collect once, print the samples and exit"),
	ROW("dump", NULL, FLAG, dump, "print the daemon's BPF programs and maps and exit"),
	ROW("check-config", NULL, FLAG, check_config, "check the settings and exit"),
	ROW("print-config", NULL, FLAG, print_config, "print the settings in effect and exit"),
	ROW("simulate", "VMS=N", STRING, simulate, "measure made-up VMs; VMS=N,SERIES=M"),
	ROW("tap", "FILE", STRING, tap, "record in a file what was collected"),
	ROW("help", NULL, FLAG, help, "print this and exit"),
	ROW("version", NULL, FLAG, version, "print the version and exit"),
};
#undef ROW

static int complain(int code, int r, const struct err *e)
{
	(void)fprintf(stderr, "periscope-host: %s\n", e->msg[0] ? e->msg : strerror(-r));
	return code;
}

static int print(struct buf *text)
{
	struct err e = ERR_INIT;
	int code = opt_print(text, &e);

	return code == EXIT_DONE ? code : complain(code, e.code, &e);
}

static int failure_code(int r)
{
	return r == -EPERM || r == -EACCES ? EXIT_PRIVILEGE : EXIT_RUNTIME;
}

static int run_daemon(const struct options *o, struct host_conf *conf, const char *path)
{
	const struct host_extras extras = { o->simulate ? &o->simulation : NULL, o->tap };
	struct err e = ERR_INIT;
	struct host *h = NULL;

	host_block_signals();
	int r = host_open(&h, conf, path, &extras, &e);

	if (r < 0)
		return complain(failure_code(r), r, &e);
	host_run(h);
	host_close(h);
	return EXIT_DONE;
}

static int print_once(const struct host_conf *conf)
{
	struct buf out = BUF_INIT, warnings = BUF_INIT;
	struct err e = ERR_INIT;
	int r = once_collect(conf, &out, &warnings, &e);

	(void)fwrite(warnings.p, 1, warnings.len, stderr);
	buf_done(&warnings);
	if (r == 0)
		return print(&out);
	buf_done(&out);
	return complain(failure_code(r), r, &e);
}

static int print_dump(void)
{
	struct buf out = BUF_INIT;
	struct err e = ERR_INIT;
	int r = bpf_dump(&out, &e);

	if (r == 0)
		return print(&out);
	buf_done(&out);
	return complain(failure_code(r), r, &e);
}

/* What is asked of the settings alone; -1 when the daemon is to run. */
static int inspect(const struct options *o, const struct host_conf *conf)
{
	struct buf out = BUF_INIT;

	if (!o->print_config && !o->check_config)
		return o->once ? print_once(conf) : -1;
	if (o->print_config)
		conf_print(&host_conf_schema, conf, &out);
	else
		buf_puts(&out, "the settings are valid\n");
	return print(&out);
}

/* What the kernel or libbpf refused is told by the source that asked; this is for debugging. */
__attribute__((format(printf, 2, 0))) static int on_libbpf(enum libbpf_print_level level,
                                                           const char *format, va_list args)
{
	char text[1024];

	if (level == LIBBPF_DEBUG || !log_enabled(LOG_DEBUG_LEVEL))
		return 0;
	(void)vsnprintf(text, sizeof(text), format, args);
	log_debug("libbpf", STRS("says", str_trim(str_from(text))));
	return 0;
}

static int pin_level(const char *name, struct err *e)
{
	enum log_level level;

	if (log_parse_level(name, &level) < 0)
		return err_set(e, -EINVAL,
		               "--log-level: found \"%.20s\", expected error, warn, info or debug",
		               name);
	log_pin_level(level);
	return 0;
}

static int with_conf(const struct options *o)
{
	const char *path = o->config ? o->config : HOST_CONF_PATH;
	struct host_conf *conf = mem_zalloc(1, sizeof(*conf));
	struct err e = ERR_INIT;
	int r = conf ? host_conf_load(path, source_names(), conf, &e) : -ENOMEM;

	if (r < 0) {
		free(conf);
		return complain(EXIT_CONFIG, r, &e);
	}
	log_set_level(o->once ? LOG_ERROR_LEVEL : (enum log_level)conf->log_level);
	int code = inspect(o, conf);

	if (code < 0)
		return run_daemon(o, conf, path); /* takes the settings over */
	host_conf_done(conf);
	free(conf);
	return code;
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct buf out = BUF_INIT;
	struct err e = ERR_INIT;
	int r = opt_parse(rows, ARRAY_SIZE(rows), argc, argv, &o, &e);

	if (r == 0 && o.log_level)
		r = pin_level(o.log_level, &e);
	if (r == 0 && o.simulate)
		r = simulate_parse(o.simulate, &o.simulation, &e);
	if (r < 0)
		return complain(EXIT_USAGE, r, &e);
	if (o.help) {
		opt_help("periscope-host",
		         "Measures the micro-VMs of this host from outside and sends what it sees.",
		         rows, ARRAY_SIZE(rows), &out);
		return print(&out);
	}
	if (o.version) {
		buf_printf(&out, "periscope-host " PERISCOPE_VERSION " (commit %s, libbpf %s)\n",
		           build_commit, libbpf_version_string());
		return print(&out);
	}
	(void)libbpf_set_print(on_libbpf);
	return o.dump ? print_dump() : with_conf(&o);
}
