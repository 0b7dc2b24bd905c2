# Parley: builds, checks, runs and installs everything.  GNU make.
#
#   make            all programs, into build/
#   make run        install what is missing, build, make var/, run it all
#   make test       install what is missing, unit tests, then end to end
#   make bench      the figures, as ratios against a floor in the same run
#
# Choices: CC, CFLAGS, BUILD=dir, SAN=1 (address and undefined), VALGRIND=1;
# for run: PORT=8080 VAR=var WEB=apache|lighttpd MODE=fcgi|cgi.

SAN ?=
VALGRIND ?=
ifeq ($(SAN),)
BUILD ?= build
else
BUILD ?= build/san
endif
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
CFLAGS ?= -O2 -g
WERROR ?=

PORT ?= 8080
VAR ?= var
WEB ?= apache
MODE ?= fcgi

PREFIX ?= /usr/local
DESTDIR ?=
VERSION := 0.1.0

# --- what there is to build -------------------------------------------------

# A file named here is a program's main; everything else of its folder goes
# into an archive, from which each program takes just what it calls.
MAINS := api poll pages webhook media parley
STATIC := api poll pages webhook media

common_src := $(wildcard common/*.c)
fcgi_src := $(filter-out $(MAINS:%=fcgi/%.c),$(wildcard fcgi/*.c))
pushd_src := $(filter-out pushd/main.c,$(wildcard pushd/*.c))
unit_src := $(wildcard tests/unit/test_*.c)
fuzz_src := $(wildcard tests/fuzz/fuzz_*.c)
bench_src := $(wildcard tests/bench/*.c)
bench_lib := $(wildcard tests/bench/lib/*.c)
schema_src := $(sort $(wildcard schema/[0-9]*.sql))

cgi_bin := $(foreach p,$(STATIC),\
    $(if $(wildcard fcgi/$p.c),$(BUILD)/$p.fcgi))
parley_bin := $(if $(wildcard fcgi/parley.c),$(BUILD)/parley)
pushd_bin := $(if $(wildcard pushd/main.c),$(BUILD)/pushd)
unit_bin := $(unit_src:tests/unit/%.c=$(BUILD)/unit/%)
fuzz_bin := $(fuzz_src:tests/fuzz/%.c=$(BUILD)/fuzz/%)
bench_bin := $(bench_src:tests/bench/%.c=$(BUILD)/bench/%)

lib_common := $(BUILD)/libcommon.a
lib_fcgi := $(BUILD)/libfcgi-parts.a
lib_pushd := $(BUILD)/libpushd-parts.a

# --- flags ------------------------------------------------------------------

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wundef -Wvla \
    -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual -Wwrite-strings \
    -Wformat=2 -Werror=format-security $(if $(WERROR),-Werror)
STD := -std=c11 -D_POSIX_C_SOURCE=200809L -DPARLEY_VERSION='"$(VERSION)"'

ifeq ($(SAN),)
HARD_C := -fstack-protector-strong -D_FORTIFY_SOURCE=3 -fPIE
HARD_L := -Wl,-z,relro,-z,now
PIE := -pie
STATIC_PIE := -static-pie
else
HARD_C := -fsanitize=address,undefined -fno-sanitize-recover=undefined \
    -fno-omit-frame-pointer -fPIE
HARD_L := -fsanitize=address,undefined
PIE := -pie
STATIC_PIE := -pie
endif
SAN_C ?=
SAN_L ?=

# What a file may see: its own folder, common/, and the root for full paths.
inc_common := -Icommon -I.
inc_fcgi := -Ifcgi -Icommon -I.
inc_pushd := -Ipushd -Icommon -I.

# V=1 shows the commands whole.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $1 $(patsubst $(CURDIR)/%,%,$@))
COMPILE = $(CC) $(STD) $(WARN) $(CFLAGS) $(HARD_C) $(SAN_C) $(CPPFLAGS) \
    -MMD -MP -c
LINK = $(CC) $(CFLAGS) $(HARD_L) $(SAN_L) $(LDFLAGS)

LIBS_COMMON := -ljson-c -linih -lsodium -lcrypto -lm
LIBS_FCGI := -lfcgi -lsqlite3 $(LIBS_COMMON) -lpthread
LIBS_MAGIC := -lmagic -llzma -lbz2 -lz
LIBS_PARLEY := -lcurl $(LIBS_MAGIC) $(LIBS_FCGI)
LIBS_PUSHD := -lev -lseccomp $(LIBS_COMMON)

# --- targets ----------------------------------------------------------------

.PHONY: all test unit e2e lint includes fuzz fuzzers bench run install dist \
    deps deps-test clean format docs
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

all: includes $(cgi_bin) $(parley_bin) $(pushd_bin)

# Data goes one way, so do includes: fcgi -> common <- pushd.
includes: $(BUILD)/.includes

$(BUILD)/.includes: $(wildcard common/*.[ch] fcgi/*.[ch] pushd/*.[ch])
	@mkdir -p $(@D)
	@bad() { echo "include against the direction:" >&2; exit 1; }; \
	q='^[[:space:]]*#[[:space:]]*include[[:space:]]*"'; \
	own() { d=$$1; shift; for o; do for h in $$o/*.h; do \
	    [ -e $$h ] && [ ! -e $$d/$${h##*/} ] && \
	    [ ! -e common/$${h##*/} ] || continue; \
	    grep -nE "$$q([./]*$$o/)?$${h##*/}\"" $$d/*.[ch] /dev/null && bad; \
	    done; grep -nE "$$q[./]*$$o/" $$d/*.[ch] /dev/null && bad; done; \
	    true; }; \
	if [ -d common ]; then own common fcgi pushd; fi; \
	if [ -d fcgi ]; then own fcgi pushd; fi; \
	if [ -d pushd ]; then own pushd fcgi; fi
	@touch $@

$(BUILD)/obj/common/%.o: common/%.c | includes
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(COMPILE) $(inc_common) -o $@ $<

$(BUILD)/obj/fcgi/%.o: fcgi/%.c | includes
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(COMPILE) $(inc_fcgi) -o $@ $<

$(BUILD)/obj/pushd/%.o: pushd/%.c | includes
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(COMPILE) $(inc_pushd) -o $@ $<

# The schema's numbered steps travel inside the programs.
$(BUILD)/schema_sql.c: $(schema_src) Makefile
	@mkdir -p $(@D)
	@{ echo '/* Made from schema/ by make. */'; echo '#include <stddef.h>'; \
	echo 'extern const char *const schema_sql[];'; \
	echo 'extern const size_t schema_sql_n;'; \
	for f in $(schema_src); do n=$${f##*/}; n=$${n%%_*}; \
	echo "static const unsigned char step_$$n[] = {"; \
	od -An -v -tx1 $$f | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'; \
	echo '0};'; done; \
	echo 'const char *const schema_sql[] = {'; \
	for f in $(schema_src); do n=$${f##*/}; n=$${n%%_*}; \
	echo "(const char *)step_$$n,"; done; \
	echo 'NULL};'; \
	echo 'const size_t schema_sql_n = $(words $(schema_src));'; } > $@.new
	@mv $@.new $@

$(BUILD)/schema_sql.o: $(BUILD)/schema_sql.c
	$(call say,CC)
	$(Q)$(COMPILE) -o $@ $<

$(lib_common): $(common_src:%.c=$(BUILD)/obj/%.o)
	@rm -f $@ && ar rcs $@ $^

$(lib_fcgi): $(fcgi_src:%.c=$(BUILD)/obj/%.o) $(BUILD)/schema_sql.o
	@rm -f $@ && ar rcs $@ $^

$(lib_pushd): $(pushd_src:%.c=$(BUILD)/obj/%.o)
	@rm -f $@ && ar rcs $@ $^

# Programs that may run as plain CGI start four times as fast when static.
# Static, they name dlopen and gethostbyname, which SQLite and libfcgi contain
# and we never call; the linker's warning of that is no news.
$(BUILD)/%.fcgi: $(BUILD)/obj/fcgi/%.o $(lib_fcgi) $(lib_common)
	$(call say,LINK)
	$(Q)$(LINK) $(STATIC_PIE) -o $@.new $^ \
	    $(if $(findstring media,$*),$(LIBS_MAGIC)) $(LIBS_FCGI) 2>$@.err || \
	    { cat $@.err >&2; exit 1; }
	@grep -vE "statically linked applications requires|: in function .(unixDlOpen|OS_CreateLocalIpcFd|sock_resolve)" \
	    $@.err >&2 || true
	@rm -f $@.err && mv $@.new $@

$(BUILD)/parley: $(BUILD)/obj/fcgi/parley.o $(lib_fcgi) $(lib_common)
	$(call say,LINK)
	$(Q)$(LINK) $(PIE) -o $@.new $^ $(LIBS_PARLEY)
	@mv $@.new $@

$(BUILD)/pushd: $(BUILD)/obj/pushd/main.o $(lib_pushd) $(lib_common)
ifneq ($(wildcard pushd/main.c),)
	$(call say,LINK)
	$(Q)$(LINK) $(PIE) -o $@.new $^ $(LIBS_PUSHD)
	@mv $@.new $@
endif

# --- tests ------------------------------------------------------------------

# A test that includes something of pushd/ links pushd's parts, else fcgi's.
of_pushd = $(shell grep -lE '^\#include "([./]*pushd/|($(subst $() ,|,$(strip \
    $(notdir $(wildcard pushd/*.h)))))")' $1 2>/dev/null)

$(BUILD)/unit/%.o: tests/unit/%.c | includes
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(COMPILE) -Itests/unit -Icommon -Ifcgi -Ipushd -I. -o $@ $<

$(BUILD)/unit/%: $(BUILD)/unit/%.o $(lib_fcgi) $(lib_pushd) $(lib_common)
	$(call say,LINK)
	$(Q)$(LINK) $(PIE) -o $@ $< \
	    $(if $(call of_pushd,tests/unit/$*.c),$(lib_pushd),$(lib_fcgi)) \
	    $(lib_common) $(LIBS_PARLEY) -lev -lseccomp -lcmocka

unit: $(unit_bin)
	@fail=; for t in $(unit_bin); do echo "# $${t##*/}"; \
	$(if $(VALGRIND),valgrind -q --leak-check=full --error-exitcode=9) \
	    $$t || fail="$$fail $${t##*/}"; done; \
	if [ -n "$$fail" ]; then echo "failed:$$fail" >&2; exit 1; fi

# Two files at once: most of their time is waiting.
E2E ?= $(wildcard tests/e2e/*.test.js)
E2E_JOBS ?= 2
# What some of them run besides: made here, before two want it at once.
e2e_tools := $(addprefix $(BUILD)/,unit/test_api bench/allocs bench/hostile)
e2e: all $(e2e_tools)
	PARLEY_BUILD=$(abspath $(BUILD)) timeout 2400 \
	    node --test --test-concurrency=$(E2E_JOBS) $(E2E)

test: deps-test
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory e2e

# A minute on each parser, under sanitizers, from the seeds.
FUZZ_S ?= 60
FUZZ ?= $(fuzz_src:tests/fuzz/fuzz_%.c=%)
fuzz:
	@$(MAKE) --no-print-directory fuzzers CC=clang BUILD=$(BUILD)/fuzzing \
	    HARD_C='-fPIE' HARD_L= \
	    SAN_C='-fsanitize=fuzzer-no-link,address,undefined \
	    -fno-sanitize-recover=undefined' \
	    SAN_L='-fsanitize=address,undefined'
	@set -e; for x in $(FUZZ); do echo "# fuzz $$x"; \
	d=$(BUILD)/fuzzing/corpus/$$x; mkdir -p $$d tests/fuzz/seed/$$x; \
	$(BUILD)/fuzzing/fuzz/fuzz_$$x -max_total_time=$(FUZZ_S) -timeout=5 \
	    -rss_limit_mb=2048 -print_final_stats=0 \
	    -artifact_prefix=$(BUILD)/fuzzing/ $$d tests/fuzz/seed/$$x; done

fuzzers: $(fuzz_bin)

$(BUILD)/fuzz/%.o: tests/fuzz/%.c | includes
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(COMPILE) -Wno-missing-prototypes -Icommon -Ifcgi -Ipushd -I. -o $@ $<

$(BUILD)/fuzz/%: $(BUILD)/fuzz/%.o $(lib_fcgi) $(lib_pushd) $(lib_common)
	$(call say,LINK)
	$(Q)$(LINK) -fsanitize=fuzzer $(PIE) -o $@ $< \
	    $(if $(call of_pushd,tests/fuzz/$*.c),$(lib_pushd),$(lib_fcgi)) \
	    $(lib_common) $(LIBS_PARLEY) -lev -lseccomp

# Formatting is checked on our sources; cppcheck and clang-tidy look for bugs.
c_files := $(wildcard common/*.[ch] fcgi/*.[ch] pushd/*.[ch] \
    tests/unit/*.[ch] tests/fuzz/*.[ch] tests/bench/*.[ch] \
    tests/bench/lib/*.[ch])
TIDY ?= $(wildcard common/*.c fcgi/*.c pushd/*.c)
TIDY_CHECKS := -*,bugprone-*,clang-analyzer-*,-bugprone-easily-swappable-parameters,-bugprone-reserved-identifier,-bugprone-narrowing-conversions,-bugprone-branch-clone,-bugprone-assignment-in-if-condition,-bugprone-suspicious-include,-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling,-clang-analyzer-optin.performance.Padding,-clang-analyzer-valist.Uninitialized
lint: includes
	clang-format --dry-run --Werror $(c_files)
	cppcheck --quiet --std=c11 --enable=warning,portability \
	    --inline-suppr --suppress=missingIncludeSystem \
	    --suppress=normalCheckLevelMaxBranches --error-exitcode=1 \
	    -D_POSIX_C_SOURCE=200809L -Icommon -Ifcgi -Ipushd -I. \
	    common fcgi pushd
	printf '%s\n' $(TIDY) | xargs -P 2 -n 3 sh -c 'clang-tidy --quiet \
	    --checks="$(TIDY_CHECKS)" --warnings-as-errors="*" "$$@" -- \
	    -std=c11 -D_POSIX_C_SOURCE=200809L -DPARLEY_VERSION=__FILE__ \
	    -Icommon -Ifcgi -Ipushd -I. 2>/dev/null' tidy

format:
	clang-format -i $(c_files)

# Those that need it get tests/bench/lib as well.
of_bench_lib = $(if $(shell grep -l tests/bench/lib/ $1),$(bench_lib))
$(BUILD)/bench/%: tests/bench/%.c $(bench_lib) tests/bench/lib/streams.h \
    $(lib_fcgi) $(lib_common)
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(STD) $(WARN) $(CFLAGS) $(if $(SAN),$(HARD_C) $(HARD_L)) \
	    $(CPPFLAGS) -Icommon -Ifcgi -I. \
	    $(if $(findstring _cgi,$*),-static -Xlinker --no-warnings) \
	    $(if $(findstring allocs,$*),-shared -fPIC -fno-builtin) -o $@ $< \
	    $(call of_bench_lib,$<) $(lib_fcgi) $(lib_common) $(LIBS_FCGI)

bench: all $(bench_bin)
	PARLEY_BUILD=$(abspath $(BUILD)) node tests/bench/bench.js $(BENCH)

# --- run and install --------------------------------------------------------

deps:
	@.ci/deps run $(WEB)

deps-test:
	@.ci/deps run test
	@.ci/deps node

run: deps
	@$(MAKE) --no-print-directory all
	@test -e '$(VAR)/parley.conf' || \
	    $(BUILD)/parley init --demo --conf '$(VAR)/parley.conf' \
	    --port '$(PORT)' >/dev/null
	@exec $(BUILD)/parley run --conf '$(VAR)/parley.conf' \
	    --port '$(PORT)' --web '$(WEB)' --mode '$(MODE)'

# The table of settings in the manual, from the one in the program.
docs: $(parley_bin)
	@sed '/^| /d' docs/configuration.md >$(BUILD)/configuration.md
	@{ echo '| setting | default | what it is |'; echo '| --- | --- | --- |'; \
	$(BUILD)/parley check --keys | sed -n \
	    '/^[a-z]/{N;s/|/\\|/g;s/^\([a-z_0-9]*\) = \(.*\)\n\t\(.*\)$$/| `\1` | `\2` | \3 |/;s/| `` |/| |/;p;}'; \
	} >>$(BUILD)/configuration.md
	@mv $(BUILD)/configuration.md docs/configuration.md

programs := api.fcgi poll.fcgi pages.fcgi webhook.fcgi media.fcgi
share := $(DESTDIR)$(PREFIX)/share/parley

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/parley \
	    $(share) $(DESTDIR)$(PREFIX)/share/man/man1 \
	    $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 755 $(BUILD)/parley $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(programs:%=$(BUILD)/%) $(BUILD)/pushd \
	    $(DESTDIR)$(PREFIX)/lib/parley
	install -m 644 apache.conf lighttpd.conf $(share)
	cd www && find . -type d -exec install -d $(abspath $(share))/www/{} \; \
	    && find . -type f -exec install -m 644 {} $(abspath $(share))/www/{} \;
	install -m 644 fcgi/parley.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 fcgi/fcgi.8 $(wildcard pushd/pushd.8) \
	    $(DESTDIR)$(PREFIX)/share/man/man8

# For a shared host: one folder to unpack below the web root.
dist: all
	@rm -rf $(BUILD)/dist && mkdir -p $(BUILD)/dist/chat
	cp $(programs:%=$(BUILD)/%) $(BUILD)/parley $(BUILD)/dist/chat
	strip $(BUILD)/dist/chat/*
	cp -R www $(BUILD)/dist/chat
	for f in /usr/share/misc /usr/share/file /usr/lib/file; do \
	    [ ! -e $$f/magic.mgc ] || { cp -L $$f/magic.mgc \
	    $(BUILD)/dist/chat && exit; }; done; \
	    echo "no magic.mgc here: the host must have one" >&2
	sed -n '/^Options +ExecCGI/,/^```/p' docs/install.md | sed '/^```/d' \
	    >$(BUILD)/dist/chat/.htaccess
	cp LICENSE docs/install.md $(BUILD)/dist/chat
	chmod -R go-w,a+rX $(BUILD)/dist/chat
	tar -C $(BUILD)/dist -czf parley-$(VERSION).tar.gz chat

clean:
	rm -rf $(BUILD)

-include $(wildcard $(BUILD)/obj/*/*.d \
    $(BUILD)/unit/*.d $(BUILD)/fuzz/*.d)
