# pecia.  make | make demo | make check | make bench | make lint | make install
# Variants: CC=clang, SANITIZE=1, BUILD=dir.
CC      ?= gcc
ifeq ($(origin CC),default)
CC      = gcc
endif
SANITIZE ?=
BUILD   ?= build/$(notdir $(CC))$(if $(SANITIZE),-sanitize)
PREFIX  ?= /usr/local
DESTDIR ?=
VERSION := 1.0.0

WARN    := -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion \
	-Wsign-conversion -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes \
	-Wcast-qual -Wwrite-strings -Wvla -Wundef
ifneq (,$(findstring gcc,$(CC)))
WARN    += -Wduplicated-cond -Wlogical-op
endif
DEFS    := -D_GNU_SOURCE -DPECIA_VERSION='"$(VERSION)"'
ifdef SANITIZE
HARDEN  := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=all -DNDEBUG -DPECIA_NO_SANDBOX
LINK    := -fsanitize=address,undefined
else
HARDEN  := -O2 -g -fPIE -fstack-protector-strong -fstack-clash-protection \
	-fcf-protection=full -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
LINK    := -pie -Wl,-z,relro,-z,now
endif
ALL_CFLAGS := -std=c11 $(WARN) $(HARDEN) $(DEFS) -I. -MMD -MP -pthread $(CFLAGS)
LIBS    := -lrsync -larchive -lcurl -levent_openssl -levent -lssl -lcrypto \
	-lzstd -lz -linih -ljansson -lresolv -pthread

common_o      := $(patsubst %.c,$(BUILD)/%.o,$(wildcard common/*.c))
transcripts_o := $(patsubst %.c,$(BUILD)/%.o,$(wildcard transcripts/*.c))
server_o      := $(patsubst %.c,$(BUILD)/%.o,$(filter-out server/main_%.c,$(wildcard server/*.c)))
client_o      := $(patsubst %.c,$(BUILD)/%.o,$(filter-out client/main_%.c,$(wildcard client/*.c)))
mains         := $(wildcard server/main_*.c client/main_*.c)
programs      := $(patsubst main_%,$(BUILD)/%,$(basename $(notdir $(mains))))
checks        := $(patsubst tests/%.c,$(BUILD)/%,$(wildcard tests/check_*.c))
helpers       := $(patsubst tests/%.c,$(BUILD)/%,$(wildcard tests/tool_*.c))

all: $(programs)

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/libcommon.a: $(common_o)
	@rm -f $@
	ar rcs $@ $^
$(BUILD)/libtranscripts.a: $(transcripts_o)
	@rm -f $@
	ar rcs $@ $^
$(BUILD)/libserver.a: $(server_o)
	@rm -f $@
	ar rcs $@ $^
$(BUILD)/libclient.a: $(client_o)
	@rm -f $@
	ar rcs $@ $^

archives := $(BUILD)/libtranscripts.a $(BUILD)/libcommon.a

$(BUILD)/peciad $(BUILD)/peciactl: $(BUILD)/%: $(BUILD)/server/main_%.o $(BUILD)/libserver.a $(archives)
	$(CC) $(LINK) -o $@ $^ $(LIBS)
$(BUILD)/pecia: $(BUILD)/client/main_pecia.o $(BUILD)/libclient.a $(archives)
	$(CC) $(LINK) -o $@ $^ $(LIBS)

# One program a test file; server and client are linked where they exist.
$(BUILD)/check_%: $(BUILD)/tests/check_%.o $(BUILD)/libserver.a $(BUILD)/libclient.a $(archives)
	$(CC) $(LINK) -o $@ $^ -lcheck -lsubunit -lm -lrt $(LIBS)
$(BUILD)/tool_%: $(BUILD)/tests/tool_%.o $(BUILD)/libserver.a $(BUILD)/libclient.a $(archives)
	$(CC) $(LINK) -o $@ $^ $(LIBS)

checks: $(checks) $(helpers)

clean:
	rm -rf build

.PHONY: all checks clean
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
