#!/usr/bin/env bash
# run: parallel
# run: limit 120
# Each lint rule refuses a sample made to break it, names its file and line, and
# lets the good tree pass.
set -uo pipefail
repo=$(realpath "$(dirname "$0")/..")
tree=${TMPDIR:-/tmp}/lint.$$
export PYTHONDONTWRITEBYTECODE=1
passed=0
failed=0
trap 'rm -rf "$tree"' EXIT

for tool in clang gcc clang-format clang-tidy cppcheck shellcheck mandoc codespell; do
	command -v $tool >/dev/null || missing+=" $tool"
done
[ -z "${missing-}" ] || { echo "make lint installs what is missing:$missing" && exit 77; }

plant() {
	rm -rf "$tree"
	mkdir -p "$tree"/{common,transcripts,server,client,tests,doc,tools}
	cp "$repo/.clang-format" "$repo/.clang-tidy" "$tree"
	printf '#ifndef A_H\n#define A_H\n\nint a(int n);\n\n#endif\n' >"$tree/common/a.h"
	printf '#include "common/a.h"\n\nint\na(int n)\n{\n\treturn n + 1;\n}\n' \
		>"$tree/common/a.c"
}

# refuses RULE FILE LINE WORD: FILE's text comes on stdin; told FILE:LINE, WORD.
refuses() {
	local rule=$1 file=$2 line=$3 word=$4 told
	plant
	cat >"$tree/$file"
	if told=$("$repo/tools/lint-$rule" "$tree" 2>&1); then
		echo "lint-$rule lets pass: $file, $word"
	elif ! grep -F "$file:$line" <<<"$told" | grep -qF "$word"; then
		printf 'lint-%s does not tell %s:%s, %s but:\n%s\n' "$rule" \
			"$file" "$line" "$word" "$told"
	else
		passed=$((passed + 1))
		return
	fi
	failed=$((failed + 1))
}

accepts() {
	local told
	if told=$("$repo/tools/lint-$1" "$tree" 2>&1) && [ -z "$told" ]; then
		passed=$((passed + 1))
	else
		printf 'lint-%s refuses a good tree:\n%s\n' "$1" "$told"
		failed=$((failed + 1))
	fi
}

# body LINES: a function that long in all.
body() {
	printf 'int\nlong_one(int n)\n{\n'
	for ((i = 5; i < $1; i++)); do printf '\tn += %d;\n' "$i"; done
	printf '\treturn n;\n}\n'
}

refuses includes common/b.c 2 'may not include transcripts/' <<'C'
#include "common/a.h"
#include "transcripts/head.h"
C
refuses includes transcripts/b.c 1 'may not include server/' <<<'#include "server/x.h"'
refuses includes server/b.c 1 'may not include client/' <<<'#include "client/x.h"'
refuses includes client/b.h 1 'may not include server/' <<<'#  include "server/x.h"'
refuses includes server/b.c 1 'may not include tests/' <<<'#include "tests/x.h"'
refuses includes common/b.c 1 'from the root' <<<'#include "a.h"'
refuses includes server/b.c 1 'common/crypto_* only' <<<'#include <openssl/evp.h>'
refuses includes common/b.c 1 'transcripts/delta* only' <<<'#include <librsync.h>'
refuses includes common/b.c 1 'nor in the table' <<<'#include <libxml/parser.h>'

refuses paths server/b.c 4 'rename takes a path' <<'C'
/* rename("a", "b") in a comment or "open(x)" in a string is none */
int f(void)
{
	return rename("open(x)", "b");
}
C
refuses paths transcripts/b.c 1 'open takes a path' <<<'int f(void) { return open("/", 0); }'
refuses paths common/b.c 1 'openat2 takes a path' <<<'long f = syscall(SYS_openat2, 0);'

refuses banned common/b.c 1 'strcpy is banned' <<<'void f(char *p) { strcpy(p, "x"); }'
refuses banned tests/b.c 1 'system is banned' <<<'void f(void) { system("x"); }'
# In pieces, lest this file be a find itself.
refuses banned common/b.c 1 'left in the code' <<<"/* TO""DO */"
refuses banned common/b.c 1 'without a reason' <<<'int f; // NOLINT(cert-err33-c)'
refuses banned common/b.c 1 'without a reason' <<<'/* cppcheck-suppress nullPointer */'

refuses size common/b.c 1 'long_one has 81 lines' < <(body 81)
refuses size tests/b.c 801 '801 lines' < <(yes '/* long */' | head -n 801)
refuses tidy common/b.c 2 'long_one' < <(body 90)
refuses tidy common/b.c 2 'parameters' <<'C'
int
f(int a, int b, int c, int d, int e, int g, int h)
{
	return a + b + c + d + e + g + h;
}
C
refuses tidy server/b.c 7 'nesting level 5' <<'C'
int
f(int n)
{
	if (n > 1) {
		if (n > 2) {
			if (n > 3) {
				if (n > 4) {
					if (n > 5) {
						n++;
					}
				}
			}
		}
	}
	return n;
}
C
refuses headers common/b.h 1 'does not compile alone' <<<'size_t f(void);'
refuses format common/b.c 2 'clang-format' <<'C'
int
f( int n) {
    return n; }
C
refuses cppcheck common/b.c 7 'nullPointer' <<'C'
int f(void);
int
f(void)
{
	int *p = 0;

	return *p;
}
C
refuses scripts tools/b.sh 3 'SC2086' <<'S'
#!/bin/sh
x=$1
rm $x
S
refuses manuals doc/b.8 1 'mandoc' <<<'.Sh NAME'
refuses spelling doc/b.md 1 'recieve' <<<"recie""ve"

plant
body 80 >"$tree/common/b.c"
for rule in includes paths banned size headers format scripts manuals spelling cppcheck; do
	accepts $rule
done
{ printf 'int long_one(int n);\n' && body 70; } >"$tree/common/b.c"
accepts tidy
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
