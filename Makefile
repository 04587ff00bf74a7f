# SPDX-License-Identifier: BSD-2-Clause
# One Makefile, no recursion into folders: make sees every dependency, so -j is always right.
# `make help` lists the targets. Nothing is written outside build/; objects go to $(O), the build
# folder of the chosen variant.

VERSION := $(shell cat VERSION)
COMMIT  := $(shell git describe --always --dirty --exclude='*' --abbrev=12 2>/dev/null || echo unknown)
SAN     ?=
DEBUG   ?=
comma   := ,
O       ?= build/$(if $(SAN),$(subst $(comma),+,$(SAN)),$(if $(DEBUG),debug,release))
CLANG   ?= clang
BPFTOOL ?= bpftool
PYTHON  ?= python3

WARNINGS_ALL := -Wall -Wextra -Wshadow -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wvla \
	     -Wformat=2 -Wimplicit-fallthrough $(if $(WERROR),-Werror)
WARNINGS := $(WARNINGS_ALL) -Wconversion -Wsign-conversion -Wstrict-prototypes \
	     -Wmissing-prototypes -Wold-style-definition
HARDENING := -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE \
	     $(if $(SAN)$(DEBUG),,-D_FORTIFY_SOURCE=2)
# -ffp-contract=off: query results must not depend on whether the CPU has FMA.
CFLAGS    ?= -O2 -g
SANFLAGS   := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
COMMON     := -D_GNU_SOURCE -I. -isystem $(O)/skel $(HARDENING) -ffp-contract=off -fno-math-errno \
	      -MMD -MP $(SANFLAGS) $(CFLAGS)
ALL_CFLAGS := -std=gnu11 $(WARNINGS) $(COMMON) \
	      -DPERISCOPE_VERSION='"$(VERSION)"'
ALL_CXXFLAGS := -std=c++17 $(WARNINGS_ALL) $(COMMON)
ALL_LDFLAGS := -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(SANFLAGS) $(LDFLAGS)
LIBS       := -lbpf -lelf -lz -lmicrohttpd -lgnutls -ljansson -lcurl-gnutls -lsnappy -lyaml -lxxhash \
	      -lre2 -llzma -lzstd -llz4 -lsodium -lgnutls -lroaring -ldevmapper -lm -lpthread
BPF_CFLAGS := -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_x86 -I. -Wall -Wextra -Werror \
	      -Wno-unused-parameter -idirafter /usr/include/$(shell $(CC) -print-multiarch)

LIBS += -lnghttp2
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2);)

# --- what is built from what: a folder is a library, a file list is its wildcard -----------------
src   = $(wildcard $(addsuffix /*.c,$(1)))
obj   = $(patsubst %.c,$(O)/%.o,$(1))
LIB   = $(O)/lib/lib$(1).a
SKELS := $(patsubst bpf/%.bpf.c,$(O)/skel/%.skel.h,$(wildcard bpf/*.bpf.c))

# BPF programs that only tests load: independent readings to compare with.
TEST_SKELS := $(patsubst tests/bpf/%.bpf.c,$(O)/skel/%.skel.h,$(wildcard tests/bpf/*.bpf.c))

BASE_OBJ  := $(call obj,$(call src,userspace/base)) $(O)/userspace/base/cxx.o
WIRE_OBJ  := $(call obj,$(call src,userspace/wire))
STORE_OBJ := $(call obj,$(call src,store))
MQL_OBJ   := $(call obj,$(call src,api/mql api/mql/prom))
HOST_OBJ  := $(call obj,$(filter-out %/main.c,$(call src,userspace/host userspace/host/delivery \
	     userspace/host/proxy userspace/host/scrape)))
VOLUMES_OBJ := $(call obj,$(filter-out %/main.c,$(call src,userspace/volumes)))
GUEST_OBJ := $(call obj,$(call src,userspace/host/guest))
CTL_OBJ   := $(call obj,$(filter-out %/main.c,$(call src,userspace/ctl)))
API_OBJ   := $(call obj,$(filter-out %/main.c,$(call src,api api/http api/auth api/handlers)))
# In link order: who needs comes before who is needed.
ARCHIVES  := $(foreach l,ctl api host guest volumes mql store wire base,$(call LIB,$(l)))

PROGRAMS  := $(if $(wildcard userspace/host/main.c),$(O)/periscope-host) \
	     $(if $(wildcard api/main.c),$(O)/periscope-region) \
	     $(if $(wildcard userspace/volumes/main.c),$(O)/periscope-host-volumes) \
	     $(if $(wildcard userspace/ctl/main.c),$(O)/periscope)
UNIT      := $(patsubst %.c,$(O)/%,$(wildcard tests/unit/test_*.c))
BPF_TESTS := $(patsubst %.c,$(O)/%,$(wildcard tests/bpf/test_*.c))
CRASH_TESTS := $(patsubst %.c,$(O)/%,$(wildcard tests/crash/test_*.c))
BENCHES   := $(patsubst %.c,$(O)/%,$(wildcard tests/bench/*.c))
FUZZERS   := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
# Programs that the proxies' tests run beside the proxies.
PROXY_TOOLS := $(patsubst %.c,$(O)/%,$(wildcard tests/proxy/*.c))

# Every target with a ## line is a command, not a file.
.PHONY: FORCE unit benches fuzzers bpf-tests check-rig-smoke $(shell sed -n 's/^\([a-z0-9-]*\):.*\#\# .*/\1/p' Makefile)
.DELETE_ON_ERROR:
.SECONDARY:

all: $(PROGRAMS) $(ARCHIVES) $(SKELS) ## Build the programs
unit: $(UNIT)
# Programs that the guests' tests run outside of the guests.
GUEST_TOOLS := $(addprefix $(O)/tests/guest/,liar watch crowd)
benches: $(BENCHES)
bpf-tests: $(BPF_TESTS) $(PROXY_TOOLS)

$(call LIB,base): $(BASE_OBJ)
$(call LIB,wire): $(WIRE_OBJ)
$(call LIB,store): $(STORE_OBJ)
$(call LIB,mql): $(MQL_OBJ)
$(call LIB,host): $(HOST_OBJ)
$(call LIB,guest): $(GUEST_OBJ)
$(call LIB,volumes): $(VOLUMES_OBJ)
$(call LIB,ctl): $(CTL_OBJ)
$(call LIB,api): $(API_OBJ)
$(O)/lib/%.a:
	$(Q)mkdir -p $(@D) && rm -f $@
	$(call say,AR,$@)$(AR) rcs $@ $^

$(O)/periscope-host: $(O)/userspace/host/main.o
$(O)/periscope-host-volumes: $(O)/userspace/volumes/main.o
$(O)/periscope-region: $(O)/api/main.o
$(O)/periscope: $(O)/userspace/ctl/main.o
$(PROGRAMS): $(O)/commit.o $(ARCHIVES)
	$(call say,LD,$@)$(CXX) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group \
		$(ARCHIVES) -Wl,--end-group $(LIBS)

$(O)/scripts/docs_tables: %: %.o $(ARCHIVES)
	$(call say,LD,$@)$(CXX) $(ALL_LDFLAGS) -o $@ $< -Wl,--start-group $(ARCHIVES) \
		-Wl,--end-group $(LIBS)

$(UNIT) $(BPF_TESTS) $(CRASH_TESTS) $(BENCHES) $(PROXY_TOOLS) $(GUEST_TOOLS): %: %.o $(ARCHIVES)
	$(call say,LD,$@)$(CXX) $(ALL_LDFLAGS) -o $@ $< -Wl,--start-group $(ARCHIVES) \
		-Wl,--end-group $(LIBS) -lcmocka

# Written again only when it says something new.
$(O)/commit.c: FORCE
	$(Q)mkdir -p $(@D) && { printf '#include "userspace/base/version.h"\n'; \
		printf 'const char build_commit[] = "%s";\n' '$(COMMIT)'; } >$@.new && \
		{ cmp -s $@.new $@ && rm $@.new || mv $@.new $@; }
$(O)/commit.o: $(O)/commit.c
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -c -o $@ $<

# A guest's numbers may be any: sums of them wrap, by definition and not by luck.
$(GUEST_OBJ): ALL_CFLAGS += -fwrapv

# Loops over columns of numbers: vectors pay.
$(addprefix $(O)/store/,bitpack.o intcol.o valcol.o): ALL_CFLAGS += -O3

$(O)/%.o: %.c
	$(Q)mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -c -o $@ $<
$(O)/%.o: %.cc
	$(Q)mkdir -p $(@D)
	$(call say,CXX,$<)$(CXX) $(ALL_CXXFLAGS) -c -o $@ $<

$(O)/%.bpf.o: %.bpf.c
	$(Q)mkdir -p $(@D)
	$(call say,BPF,$<)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MT $@ -MF $(@:.o=.d) -c -o $@.tmp $< && \
		$(BPFTOOL) gen object $@ $@.tmp && rm $@.tmp

$(O)/skel/%.skel.h: $(O)/bpf/%.bpf.o
	$(Q)mkdir -p $(@D)
	$(call say,SKEL,$@)$(BPFTOOL) gen skeleton $< name $*_bpf > $@
$(O)/skel/%.skel.h: $(O)/tests/bpf/%.bpf.o
	$(Q)mkdir -p $(@D)
	$(call say,SKEL,$@)$(BPFTOOL) gen skeleton $< name $*_bpf > $@
# A real dependency, not order-only: -MMD leaves out what comes in by -isystem.
$(HOST_OBJ): $(SKELS)
$(addsuffix .o,$(BPF_TESTS)): $(SKELS) $(TEST_SKELS)

# What runs inside the guests of the rig: no library is there.
$(O)/tests/guest/%: tests/guest/%.c
	$(Q)mkdir -p $(@D)
	$(call say,CC,$<)$(CC) -std=gnu11 -static -O2 $(WARNINGS_ALL) -D_GNU_SOURCE -o $@ $<

# --- tests ----------------------------------------------------------------------------------------
deps: ## Install what building and testing need (apt)
	$(Q)scripts/deps

check: ## Everything: installs what it needs, builds, runs all tests
	$(Q)scripts/deps
	$(Q)scripts/check

# What is the same in all variants is tested in one of them.
UNIT_ONCE := $(if $(SAN)$(DEBUG),,$(wildcard tests/unit/test_*.sh))
check-unit: $(UNIT) $(if $(UNIT_ONCE),$(PROGRAMS) $(O)/scripts/docs_tables) ## Unit tests of this variant
	$(Q)O=$(O) JOBS=$(shell nproc) scripts/run-tests unit $(UNIT) $(UNIT_ONCE)

check-san: ## Unit tests under ASan+UBSan and under TSan
	$(Q)$(MAKE) --no-print-directory SAN=address,undefined check-unit
	$(Q)$(MAKE) --no-print-directory SAN=thread check-unit

check-bpf: $(BPF_TESTS) ## Load every BPF program, drive it, compare (root)
	$(Q)O=$(O) scripts/run-tests bpf $(BPF_TESTS) $(wildcard tests/bpf/test_*.sh)

check-rig: $(BPF_TESTS) $(PROGRAMS) ## On a second kernel, in a machine of our own: cgroup v2 and v1, thin volumes, VMs (QEMU)
	$(Q)O=$(O) scripts/check-rig all $(BPF_TESTS)

check-rig-smoke: $(BPF_TESTS) # the part of it that fits into `make check`
	$(Q)O=$(O) scripts/check-rig smoke $(BPF_TESTS)

check-e2e: $(PROGRAMS) ## Both programs on loopback, with real micro-VMs (root; else skipped)
	$(Q)scripts/proxies
	$(Q)scripts/exporters
	$(Q)O=$(O) scripts/run-tests e2e $(wildcard tests/e2e/test_*.py)

check-receivers: $(PROGRAMS) ## Delivery to the newest Prometheus and VictoriaMetrics, too (root)
	$(Q)scripts/proxies && scripts/exporters
	$(Q)O=$(O) PERISCOPE_ORACLE=$$(scripts/get-oracle) scripts/run-tests e2e tests/e2e/test_receivers.py

check-clients: $(PROGRAMS) ## The newest promtool, Prometheus, vmagent, vmalert, vmauth, vmctl at the region
	$(Q)scripts/exporters
	$(Q)O=$(O) PERISCOPE_ORACLE=$$(scripts/get-oracle) scripts/run-tests e2e tests/e2e/test_clients.py

check-proxy: $(PROXY_TOOLS) ## nginx and haproxy against their own logs: the whole matrix (root)
	$(Q)scripts/proxies
	$(Q)O=$(O) scripts/run-tests proxy $(wildcard tests/proxy/test_*.py)

check-proxy-smoke: $(PROXY_TOOLS) # the part of it that fits into `make check`
	$(Q)scripts/proxies
	$(Q)O=$(O) SMOKE=1 scripts/run-tests proxy $(wildcard tests/proxy/test_*.py)

GUEST_TESTS := $(O)/tests/guest/observe $(GUEST_TOOLS)
# The liar wants sanitizers.
LIAR := build/address+undefined/tests/guest/liar
ifeq ($(SAN),)
$(LIAR): FORCE
	+$(Q)$(MAKE) --no-print-directory SAN=address,undefined $@
endif
check-guest: $(PROGRAMS) $(GUEST_TESTS) $(LIAR) ## The guest's own view against the guest's own files: all kernels, all machines
	$(Q)O=$(O) TEST_TIMEOUT=7200 scripts/run-tests guest-tests tests/guest/golden.py $(wildcard tests/guest/test_*.py)

check-guest-smoke: $(PROGRAMS) $(GUEST_TESTS) $(LIAR) # the part of it that fits into `make check`
	$(Q)O=$(O) scripts/run-tests guest-tests tests/guest/test_view.py

# A clock that jumps, for the programs that are killed.
$(O)/%.so: %.c
	$(Q)mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CFLAGS) $(WARNINGS_ALL) -std=gnu11 -D_GNU_SOURCE -fPIC -shared -o $@ $<

check-crash: $(PROGRAMS) $(CRASH_TESTS) $(O)/tests/unit/test_store_crash $(O)/tests/crash/jumping_clock.so ## Kills and simulated crashes: ROUNDS=, SEED=, AWAY_S=
	$(Q)O=$(O) $(if $(ROUNDS)$(AWAY_S),TEST_TIMEOUT=7200) scripts/run-tests crash $(CRASH_TESTS) $(wildcard tests/crash/*.py)
	$(Q)CRASHES=10000 $(O)/tests/unit/test_store_crash >/dev/null

demo: ## Boot a micro-VM and show its metrics; SECONDS=30 stops then and judges them
	$(Q)scripts/deps demo
	$(Q)mkdir -p build # one demo at a time prepares; any number of them may run
	+$(Q)flock build/prepare.lock sh -c 'scripts/proxies && scripts/guest build && $(MAKE) --no-print-directory -j$(shell nproc) all'
	$(Q)O=$(O) scripts/demo --seconds $(or $(SECONDS),0)

# Fuzzers are a build of their own: clang, libFuzzer, ASan and UBSan over the libraries.
TIME ?= 60
FUZZ_O := build/fuzz
FUZZ_MAKE = $(MAKE) --no-print-directory CC=clang CXX=clang++ O=$(FUZZ_O) SAN=address,undefined \
	    CFLAGS='-O1 -g -fsanitize=fuzzer-no-link' HARDENING=-fPIE
$(addprefix $(O)/tests/fuzz/,$(FUZZERS)): %: %.o $(ARCHIVES)
	$(call say,LD,$@)$(CXX) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $< -Wl,--start-group \
		$(ARCHIVES) -Wl,--end-group $(LIBS)
fuzzers: $(addprefix $(O)/tests/fuzz/,$(FUZZERS))

fuzz: ## Fuzz every parser of foreign bytes, TIME=60 seconds each
	+$(Q)$(FUZZ_MAKE) fuzzers
	$(Q)scripts/fuzz $(FUZZ_O) $(TIME) $(FUZZERS)

check-fuzz: ## Fuzz smoke: every corpus, then a fixed number of mutations of a fixed seed
	+$(Q)$(FUZZ_MAKE) fuzzers
	$(Q)scripts/fuzz $(FUZZ_O) smoke $(FUZZERS)

check-oracle: $(PROGRAMS) ## Queries beside VictoriaMetrics and Prometheus (fetched): SEED=, QUERIES=, PARTS=
	$(Q)O=$(O) scripts/check-oracle --seed $(or $(SEED),1) --queries $(or $(QUERIES),2000) \
		--parts $(or $(PARTS),records,random,promql,corpus)

SIZES ?= small,large
CONNECTIONS ?= 1,2,4
GATE ?= 5
bench-proxy: $(PROXY_TOOLS) ## What being measured costs nginx under wrk: by CPU time here, by requests in the rig: GATE= percent (root)
	$(Q)scripts/proxies
	$(Q)O=$(O) tests/proxy/bench.py --by cpu
	$(Q)O=$(O) scripts/rig run --icount --seconds 3000 tests/proxy/bench.py --by requests --gate $(GATE)

bench-store: $(PROGRAMS) $(BENCHES) ## The store side by side with VictoriaMetrics: SIZES=, CONNECTIONS=
	$(Q)O=$(O) scripts/bench-store --sizes $(SIZES) --connections $(CONNECTIONS)

VMS ?= 1000
SERIES ?= 150
PROCESSES ?= 1000
bench-guest: $(PROGRAMS) $(GUEST_TESTS) ## What reading guests costs: PROCESSES=1000 (root)
	$(Q)O=$(O) tests/guest/bench.py --processes $(PROCESSES)

bench-host: $(PROGRAMS) $(BENCHES) ## What a host costs, beside vmagent and node_exporter: VMS=, SERIES= (root)
	$(Q)scripts/deps bench
	$(Q)O=$(O) scripts/bench-host --vms $(VMS) --series $(SERIES)

bench-sources: $(PROGRAMS) $(BENCHES) ## What reading the host costs, beside readers of /proc: FAKE_VMS= (root)
	$(Q)scripts/deps bench
	$(Q)scripts/exporters
	$(Q)O=$(O) scripts/bench-sources --vms $(or $(FAKE_VMS),1000)

bench-query: $(PROGRAMS) $(BENCHES) ## Dashboards' queries side by side with VictoriaMetrics: VMS=6000 for 10x
	$(Q)O=$(O) scripts/bench-query --vms $(if $(filter command,$(firstword $(origin VMS))),$(VMS),600)

check-fresh: ## Both README commands on a fresh minimal Debian 12 (root, debootstrap; long)
	$(Q)scripts/fresh make demo SECONDS=60
	$(Q)scripts/fresh make check

check-tidy: ## The rules of the tree that no compiler checks
	$(Q)scripts/tidy --self-test
	$(Q)scripts/tidy
	$(Q)scripts/check-links --self-test
	$(Q)scripts/check-links

docs: $(PROGRAMS) $(O)/scripts/docs_tables ## Write the generated pages: settings, series, metrics, functions
	$(Q)O=$(O) scripts/gen-docs

lint: ## clang-tidy, cppcheck, shellcheck, mandoc -Tlint
	$(Q)scripts/lint $(ALL_CFLAGS)

# By find and not by git: a tree that somebody else owns, or an unpacked one, is checked as well.
SOURCES = $(shell find bpf userspace store api tests scripts -name '*.[ch]' -o -name '*.cc')
format: ## Rewrite sources in the house layout
	$(Q)clang-format -i $(SOURCES)

format-check: ## Fail when a source is not in the house layout
	$(Q)clang-format --dry-run -Werror $(SOURCES)

# --- install --------------------------------------------------------------------------------------
PREFIX ?= /usr
DOCDIR := $(DESTDIR)$(PREFIX)/share/doc/periscope
install: $(PROGRAMS) ## Programs, manuals, pages and units below $(DESTDIR)$(PREFIX)
	$(Q)install -D -t $(DESTDIR)$(PREFIX)/sbin $(PROGRAMS)
	$(Q)for page in docs/man/*.[1-8]; do \
		install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man$${page##*.} $$page; done
	$(Q)install -D -m 644 -t $(DOCDIR) README.md LICENSE docs/*.md
	$(Q)install -D -m 644 -t $(DOCDIR)/format docs/format/*.md
	$(Q)install -D -m 644 -t $(DOCDIR)/examples docs/examples/*
	$(Q)install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/sysusers.d scripts/pkg/sysusers/*.conf
	$(Q)for unit in scripts/pkg/systemd/*.service; do \
		install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system $$unit && \
		sed -i 's|=/usr/sbin/|=$(PREFIX)/sbin/|' $(DESTDIR)$(PREFIX)/lib/systemd/system/$${unit##*/}; done

uninstall: ## What install put there
	$(Q)rm -f $(PROGRAMS:$(O)/%=$(DESTDIR)$(PREFIX)/sbin/%)
	$(Q)for page in docs/man/*.[1-8]; do \
		rm -f $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; done
	$(Q)rm -rf $(DOCDIR)
	$(Q)rm -f $(patsubst scripts/pkg/systemd/%,$(DESTDIR)$(PREFIX)/lib/systemd/system/%,$(wildcard scripts/pkg/systemd/*.service))
	$(Q)rm -f $(patsubst scripts/pkg/sysusers/%,$(DESTDIR)$(PREFIX)/lib/sysusers.d/%,$(wildcard scripts/pkg/sysusers/*.conf))

compdb: ## compile_commands.json for clangd and clang-tidy
	$(Q)bear -- $(MAKE) --always-make all $(UNIT)

clean: ## Remove every build variant
	$(Q)rm -rf build

help: ## This list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  V=1 shows commands; SAN=address,undefined|thread, DEBUG=1, WERROR=1 choose a variant"

-include $(shell find $(O) -name '*.d' 2>/dev/null)
