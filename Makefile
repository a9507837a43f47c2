# SPDX-License-Identifier: GPL-2.0-only
#
# Everything is built under build/; no source directory is written to.

PREFIX  ?= /usr/local
DESTDIR ?=
CFLAGS  ?= -O2 -g
export PREFIX DESTDIR

BUILD   := $(CURDIR)/build
WARN    := -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes

UNIT    := $(patsubst %/Makefile,%,$(wildcard tests/unit/*/Makefile))
PARTS   := lib/libxpmem daemon mpi-examples $(UNIT)

# Programs for the partitions of the lab: one a topic, and the helpers.
XT_HELP := $(patsubst %.c,$(BUILD)/tests/obj/%.o,$(notdir $(wildcard \
	   tests/lab-tests/xt*.c)))
XT_PROG := $(patsubst tests/%.c,$(BUILD)/tests/%,$(filter-out \
	   tests/lab-tests/xt%,$(wildcard tests/lab-tests/*.c)) \
	   $(wildcard tests/demo/*.c))
XT_HDRS := $(wildcard tests/lab-tests/*.h include/*.h include/uapi/linux/*.h)
# Topics of several files: a directory each.
XT_DIRS := $(patsubst tests/lab-tests/%/,%,$(wildcard tests/lab-tests/*/))
xt_objs  = $(patsubst tests/lab-tests/%.c,$(BUILD)/tests/obj/%.o,$(wildcard \
	   tests/lab-tests/$(1)/*.c))
XT_FLAGS = -std=gnu11 -D_GNU_SOURCE $(WARN) $(CFLAGS) -Iinclude -Iinclude/uapi \
	   -Itests/lab-tests -DXT_LAB='"$(CURDIR)/tests/lab/lab"'

# The benchmarks: one program, a file a topic; and one for two ranks of an MPI job,
# which shares all but main().
BENCH_O := $(patsubst tests/%.c,$(BUILD)/tests/obj/%.o,$(wildcard tests/bench/*.c))

.PHONY: all $(PARTS) module demo check soak bench cost series-check install clean help
.DELETE_ON_ERROR:
.SECONDARY: $(XT_HELP)

BENCH   := $(BUILD)/tests/bench/bench $(BUILD)/tests/bench/bench-mpi

all: $(PARTS) $(XT_PROG) $(XT_DIRS:%=$(BUILD)/tests/lab-tests/%) $(BENCH)

# Says what is missing and why, and installs it; silent when nothing is.
$(BUILD)/.setup: tests/setup
	@tests/setup
	@mkdir -p $(@D) && touch $@

$(PARTS): $(BUILD)/.setup
	@$(MAKE) --no-print-directory -C $@ O=$(BUILD) all

daemon mpi-examples $(UNIT): lib/libxpmem

tests/unit/daemon: daemon

$(BUILD)/tests/obj/%.o: tests/lab-tests/%.c $(XT_HDRS) $(BUILD)/.setup
	@mkdir -p $(@D)
	@echo '  CC  $(@:$(CURDIR)/%=%)'
	@$(CC) $(XT_FLAGS) -c -o $@ $<

$(BUILD)/tests/%: tests/%.c $(XT_HELP) $(XT_HDRS) | lib/libxpmem
	@mkdir -p $(@D)
	@echo '  CC  $(@:$(CURDIR)/%=%)'
	@$(CC) $(XT_FLAGS) -o $@ $< $(XT_HELP) -L$(BUILD)/lib -lxpmem

define xt_topic
$(call xt_objs,$(1)): $(wildcard tests/lab-tests/$(1)/*.h)

$(BUILD)/tests/lab-tests/$(1): $(call xt_objs,$(1)) $(XT_HELP) | lib/libxpmem
	@mkdir -p $$(@D)
	@echo '  LD  $$(@:$$(CURDIR)/%=%)'
	@$$(CC) $$(CFLAGS) -o $$@ $$^ -L$$(BUILD)/lib -lxpmem
endef
$(foreach topic,$(XT_DIRS),$(eval $(call xt_topic,$(topic))))

$(BUILD)/tests/obj/bench/%.o: tests/bench/%.c $(wildcard tests/bench/*.h) include/xpmem.h \
			      $(BUILD)/.setup
	@mkdir -p $(@D)
	@echo '  CC  $(@:$(CURDIR)/%=%)'
	@$(CC) -std=gnu11 -D_GNU_SOURCE $(WARN) $(CFLAGS) -Iinclude -c -o $@ $<

$(BUILD)/tests/bench/bench: $(BENCH_O) | lib/libxpmem
	@mkdir -p $(@D)
	@echo '  LD  $(@:$(CURDIR)/%=%)'
	@$(CC) $(CFLAGS) -pthread -o $@ $^ -L$(BUILD)/lib -lxpmem -ldl \
		-Wl,-rpath,'$$ORIGIN/../../lib'

$(BUILD)/tests/bench/bench-mpi: tests/bench/mpi/mpi.c $(BENCH_O) | lib/libxpmem
	@mkdir -p $(@D)
	@echo '  CC  $(@:$(CURDIR)/%=%)'
	@mpicc -std=gnu11 -D_GNU_SOURCE $(WARN) $(CFLAGS) -Iinclude -pthread -o $@ $< \
		$(filter-out %/bench.o,$(BENCH_O)) -L$(BUILD)/lib -lxpmem -ldl \
		-Wl,-rpath,'$$ORIGIN/../../lib'

# The module for the kernel whose build directory is KDIR. FLAVOUR names the
# result's directory; without it, the kernel's release does. The sources are
# linked into build/, so that several kernels can be built for side by side.
module: $(BUILD)/.setup
	@tests/build-module "$(KDIR)" "$(FLAVOUR)"

demo:
	@tests/setup
	@$(MAKE) --no-print-directory all
	@tests/demo/run

# CHECK_FLAGS: tests/run --help.
check:
	@tests/setup
	@tests/run $(CHECK_FLAGS)

# What check has no time for: faults, for about an hour. SOAK_FLAGS: tests/soak/run
# --help.
soak:
	@tests/setup
	@tests/soak/run $(SOAK_FLAGS)

# What it measures: tests/bench/bench --list. BENCH_FLAGS: tests/bench/run --help.
bench:
	@tests/setup
	@tests/setup bench
	@$(MAKE) -s --no-print-directory lib/libxpmem daemon mpi-examples $(BENCH)
	@tests/bench/run $(BENCH_FLAGS)

# What the mm series costs whoever does not use it. COST_FLAGS: tests/series/cost --help.
cost:
	@tests/setup
	@$(MAKE) -s --no-print-directory lib/libxpmem daemon
	@tests/series/cost $(COST_FLAGS)

# What make check has no time for: every patch by itself, which lines are run, all of
# the mm selftests, KUnit on four architectures.
series-check:
	@tests/setup
	@tests/series/check --each
	@tests/series/coverage
	@for arch in i386 x86_64 arm64-4k arm64-64k; do tests/kunit/run $$arch || exit 1; done
	@tests/series/mm-selftests

install: all
	@for d in lib/libxpmem daemon; do \
		$(MAKE) --no-print-directory -C $$d O=$(BUILD) install || exit 1; \
	done

# build/lab may belong to a running lab: its own clean knows.
clean:
	@[ ! -d build/lab ] || tests/lab/lab clean
	rm -rf build

help:
	@echo 'make                     library, daemon, tools, examples and test programs,'
	@echo '                         under build/'
	@echo 'make module KDIR=DIR [FLAVOUR=NAME]'
	@echo '                         xpmem.ko for a kernel, as build/kernel/NAME/xpmem.ko'
	@echo '                         (NAME: the kernel release, when not given; W=1 and'
	@echo '                         C=1 mean what they mean to the kernel)'
	@echo 'make demo                two partitions, one exported page: the main job, shown'
	@echo 'make check               all tests; sets up what they need'
	@echo 'make soak                partitions that pause, die, are cut off and press each'
	@echo '                         other, for about an hour; SOAK_FLAGS:'
	@echo '                         tests/soak/run --help'
	@echo 'make bench               attachments, within a partition and across two, beside'
	@echo '                         references; a table, plots and build/bench/report.html;'
	@echo '                         BENCH_FLAGS: tests/bench/run --help'
	@echo 'make cost                what the mm series costs whoever does not use it: code,'
	@echo '                         faults, munmap, reclaim, migration, with the option'
	@echo '                         off, on, and registered; COST_FLAGS: tests/series/cost'
	@echo '                         --help'
	@echo 'make series-check        each patch by itself, objects with the option off, the'
	@echo '                         lines that its kselftest runs, all of the mm selftests'
	@echo '                         without and with the series, KUnit on i386, x86_64 and'
	@echo '                         arm64; long'
	@echo 'make install             DESTDIR=, PREFIX= (default $(PREFIX))'
	@echo 'make clean               removes build/; cached kernels stay (tests/lab/lab kernels)'
	@echo
	@echo 'tests/run PATTERN...     only the tests whose names match; tests/run --list'
