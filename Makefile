# pecia.  make | make demo | make check | make prove | make bench | make lint | make fuzz
#         make install | make uninstall | make clean
# Variants: CC=clang, SANITIZE=1, BUILD=dir, CFLAGS=more, PREFIX=dir, DESTDIR=dir.
# demo, check, bench, lint and fuzz install the packages they need first
# (tools/packages); a plain `make` installs nothing.
CC      ?= gcc
ifeq ($(origin CC),default)
CC      = gcc
endif
SANITIZE ?=
FUZZ    ?=
BUILD   ?= build/$(notdir $(CC))$(if $(SANITIZE),-sanitize)$(if $(FUZZ),-fuzz)
PREFIX  ?= /usr/local
DESTDIR ?=
JOBS    ?= $(shell nproc)
VERSION := 1.0.0

WARN    := -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion \
	-Wsign-conversion -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes \
	-Wcast-qual -Wwrite-strings -Wvla -Wundef
ifneq (,$(findstring gcc,$(CC)))
WARN    += -Wduplicated-cond -Wlogical-op
endif
DEFS    := -D_GNU_SOURCE -DPECIA_VERSION='"$(VERSION)"'
ifneq (,$(SANITIZE)$(FUZZ))
HARDEN  := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=all -DNDEBUG -DPECIA_NO_SANDBOX \
	$(if $(FUZZ),-fsanitize=fuzzer-no-link)
LINK    := -fsanitize=address,undefined
else
HARDEN  := -O2 -g -fPIE -fstack-protector-strong -fstack-clash-protection \
	-fcf-protection=full -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
LINK    := -pie -Wl,-z,relro,-z,now
endif
ALL_CFLAGS := -std=c11 $(WARN) $(HARDEN) $(DEFS) -I. -MMD -MP -pthread $(CFLAGS)
LIBS    := -lrsync -larchive -lcurl -levent -lssl -lcrypto \
	-lzstd -lz -linih -ljansson -lresolv -pthread

# What was built with other flags is built again.
flags := $(CC) $(ALL_CFLAGS) $(LINK)
ifneq ($(flags),$(file <$(BUILD)/flags))
$(shell mkdir -p $(BUILD))
$(file >$(BUILD)/flags,$(flags))
endif

# V=1 shows the commands.
say = $(if $(V),,@echo '$(1)'; )

# objects FOLDER: its .o files.  named PREFIX: programs made of tests/PREFIX_*.c.
objects = $(patsubst %.c,$(BUILD)/%.o,$(wildcard $(1)/*.c))
named   = $(patsubst tests/$(1)_%.c,$(BUILD)/$(or $(2),$(1))_%,$(wildcard tests/$(1)_*.c))

mains    := $(BUILD)/server/main_%.o $(BUILD)/client/main_%.o
programs := $(addprefix $(BUILD)/,$(patsubst main_%.c,%,$(notdir \
	$(wildcard server/main_*.c client/main_*.c))))
own      := $(addprefix $(BUILD)/tests/,check_%.o tool_%.o fuzz_%.o replay.o \
	prove.o prove_%.o)
archives := $(BUILD)/libtranscripts.a $(BUILD)/libcommon.a
# Tests see all of it; tests/*.c that are no program serve all test programs.
tested   := $(addprefix $(BUILD)/,libtests.a libserver.a libclient.a) $(archives)

all: $(programs)

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC $<)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/libcommon.a: $(call objects,common)
$(BUILD)/libtranscripts.a: $(call objects,transcripts)
$(BUILD)/libserver.a: $(filter-out $(mains),$(call objects,server))
$(BUILD)/libclient.a: $(filter-out $(mains),$(call objects,client))
$(BUILD)/libtests.a: $(filter-out $(own),$(call objects,tests))
$(BUILD)/lib%.a:
	@rm -f $@
	$(call say,AR $@)ar rcs $@ $^

$(BUILD)/peciad $(BUILD)/peciactl: $(BUILD)/%: $(BUILD)/server/main_%.o $(BUILD)/libserver.a $(archives)
	$(call say,LD $@)$(CC) $(LINK) -o $@ $^ $(LIBS)
$(BUILD)/pecia: $(BUILD)/client/main_pecia.o $(BUILD)/libclient.a $(archives)
	$(call say,LD $@)$(CC) $(LINK) -o $@ $^ $(LIBS)

# The crash prover has its own table of calls: what calls through it is built
# once more, with PECIA_PROVE, and comes before the archives.  It has no
# network and starts no program: tests/prove_fetch.c and prove_command.c are in
# the place of transcripts/fetch.c and common/command.c.
proving := $(patsubst %.c,$(BUILD)/prove/%.o,tests/check_prove.c \
	$(wildcard tests/prove*.c) $(filter-out transcripts/fetch.c,$(shell \
	grep -l '"common/fscalls.h"' common/*.c transcripts/*.c server/*.c client/*.c)))
$(BUILD)/prove/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC $< for prove)$(CC) $(ALL_CFLAGS) -DPECIA_PROVE -c -o $@ $<
$(BUILD)/check_prove: $(proving) $(tested)
	$(call say,LD $@)$(CC) $(LINK) -o $@ $^ -lcheck -lsubunit -lm -lrt $(LIBS)

$(BUILD)/check_%: $(BUILD)/tests/check_%.o $(tested)
	$(call say,LD $@)$(CC) $(LINK) -o $@ $^ -lcheck -lsubunit -lm -lrt $(LIBS)
$(BUILD)/tool_%: $(BUILD)/tests/tool_%.o $(BUILD)/libserver.a $(BUILD)/libclient.a $(archives)
	$(call say,LD $@)$(CC) $(LINK) -o $@ $^ $(LIBS)
$(BUILD)/replay_%: $(BUILD)/tests/fuzz_%.o $(BUILD)/tests/replay.o $(tested)
	$(call say,LD $@)$(CC) $(LINK) -o $@ $^ $(LIBS)
$(BUILD)/fuzz_%: $(BUILD)/tests/fuzz_%.o $(tested)
	$(call say,LD $@)$(CC) $(LINK) -fsanitize=fuzzer -o $@ $^ $(LIBS)

# All that a test run needs.
checks: all $(call named,check) $(call named,tool) $(call named,fuzz,replay)

# The crash prover alone, at full depth.
prove:
	@tools/install-deps build check
	@$(MAKE) --no-print-directory -j$(JOBS) $(BUILD)/check_prove
	@PROVE_DEPTH=full $(BUILD)/check_prove

check:
	@tools/install-deps build check
	@$(MAKE) --no-print-directory -j$(JOBS) checks
	@tests/run $(BUILD)

demo:
	@tools/install-deps build demo
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@tests/demo/run $(BUILD)

bench:
	@tools/install-deps build bench
	@$(MAKE) --no-print-directory -j$(JOBS) all $(BUILD)/tool_measure \
		$(BUILD)/tool_wanem $(BUILD)/tool_rate
	@tests/bench/run $(BUILD)
	@tests/bench/mirror $(BUILD)
	@tests/bench/propagation $(BUILD)

# A million files, large directories, a large file.
bench-scale:
	@tools/install-deps build bench
	@$(MAKE) --no-print-directory -j$(JOBS) all $(BUILD)/tool_measure
	@tests/bench/scale $(BUILD)

lint:
	@tools/install-deps build check lint
	@tools/lint

# Each format's fuzzer for FUZZ_SECONDS, from its corpus; finds stay in BUILD.
FUZZ_SECONDS ?= 60
fuzz:
	@tools/install-deps build fuzz
	@$(MAKE) --no-print-directory -j$(JOBS) CC=clang FUZZ=1 fuzzing
fuzzing: $(call named,fuzz)
	tests/fuzz $(BUILD) $(FUZZ_SECONDS)

# Units and examples name /usr/local/sbin; they are installed with PREFIX.
sbin  := $(DESTDIR)$(PREFIX)/sbin
man   := $(DESTDIR)$(PREFIX)/share/man
units := $(DESTDIR)$(PREFIX)/lib/systemd/system
docs  := $(DESTDIR)$(PREFIX)/share/doc/pecia
pages := $(wildcard doc/*.1 doc/*.5 doc/*.8)
unit_files := $(wildcard doc/examples/*.service doc/examples/*.timer)
doc_files  := $(filter-out $(unit_files),$(wildcard doc/examples/*)) \
	$(wildcard README.md CHANGELOG.md LICENSE)
installed   = $(addprefix $(sbin)/,$(notdir $(programs))) \
	$(foreach p,$(pages),$(man)/man$(subst .,,$(suffix $(p)))/$(notdir $(p))) \
	$(addprefix $(units)/,$(notdir $(unit_files))) \
	$(addprefix $(docs)/,$(notdir $(doc_files)))

install: all
	install -D -m 755 -t $(sbin) $(programs)
	$(foreach p,$(pages),install -D -m 644 -t $(man)/man$(subst .,,$(suffix $(p))) $(p) &&) true
	install -D -m 644 -t $(units) $(unit_files)
	sed -i 's|/usr/local/sbin|$(PREFIX)/sbin|g' $(addprefix $(units)/,$(notdir $(unit_files)))
	install -D -m 644 -t $(docs) $(doc_files)

uninstall:
	rm -f $(installed)
	-rmdir $(docs)

clean:
	rm -rf build

.PHONY: all checks check prove demo bench bench-scale lint fuzz fuzzing install uninstall clean
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
