/* What peciactl --help prints. */
#include "server/ctl_options.h"

static const char program[] =
    "usage: peciactl [--repo DIR] [--keys DIR] COMMAND [OPTION...]\n"
    "\n"
    "commands\n"
    "  init                     make keys, repository and trust root\n"
    "  publish FILE.conf        publish trees as the next release\n"
    "  publish NAME=DIR[:TARGET]...\n"
    "  log                      the releases of a channel, newest first\n"
    "  show [SERIAL]            one release in full\n"
    "  verify                   check every file of the repository\n"
    "  mirror add|change|list|remove\n"
    "                           who may serve it\n"
    "  refresh                  sign the heads of all channels again\n"
    "  backup FILE [POLICY]...  keys and settings, encrypted\n"
    "  restore FILE             put them back\n"
    "  promote                  make an origin of a mirror\n"
    "  demote                   make a mirror of an origin\n"
    "  rotate KEY...            new keys in place of lost or stolen ones\n"
    "  collect                  remove what no kept release needs\n"
    "\n"
    "options of all commands\n"
    "  --repo DIR    repository; PECIA_REPO [" CTL_DEFAULT_REPO "]\n"
    "  --keys DIR    signing keys; PECIA_KEYS [" CTL_DEFAULT_KEYS "]\n"
    "  -h, --help    this text, or that of a command\n"
    "  --version     the version\n"
    "\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage, 3 verify found damage.\n"
    "See peciactl(8), pecia-release(5).\n";

static const char init[] =
    "usage: peciactl init [--org NAME] [--identity DIR] "
    "[--address HOST[:PORT]]...\n"
    "\n"
    "Makes the signing keys root.pem, release.pem and head.pem, an empty\n"
    "repository, its trust root and its roster.  The last line printed is the\n"
    "anchor, which clients and mirrors are given once.\n"
    "\n"
    "  --org NAME             who publishes here [this host's name]\n"
    "  --identity DIR         TLS identity of this host's peciad; made when\n"
    "                         it is missing [KEYS/identity]\n"
    "  --address HOST[:PORT]  where this host is reached; may be repeated\n";

static const char publish[] =
    "usage: peciactl publish FILE.conf [OPTION...]\n"
    "       peciactl publish NAME=DIR[:TARGET]... [OPTION...]\n"
    "\n"
    "Makes the trees that FILE.conf (pecia-release(5)) or the arguments name "
    "the\n"
    "next release of a channel.  Nothing is published when nothing changed.\n"
    "\n"
    "  --channel NAME     line of releases [" CTL_DEFAULT_CHANNEL "]\n"
    "  -m, --message M    why, for those who read the log\n"
    "  --author A         who [USER@HOST]\n"
    "  --source REV       revision of what the trees were made from\n"
    "  --exact            with NAME=DIR: what is not listed goes from the "
    "target\n"
    "  --noop             show what would change, write nothing\n"
    "  --expect SERIAL    only if the channel is at SERIAL; 0: if it is new\n"
    "  --full             read every file, whatever the stat cache says\n"
    "  --lifetime TIME    of the signed heads [24h]\n"
    "  --wait SECONDS     for another publisher to end [60]\n"
    "  --offline          do not ask mirrors whether another origin publishes\n"
    "  --identity DIR     TLS identity of this host, which is not asked\n"
    "                     [KEYS/identity]\n"
    "  --json             result for programs\n";

static const char log_help[] =
    "usage: peciactl log [--channel NAME] [--json]\n"
    "\n"
    "The releases of a channel, newest first, as far back as they are kept.\n";

static const char show[] =
    "usage: peciactl show [SERIAL] [--channel NAME] [--json]\n"
    "\n"
    "One release in full: the newest, or that of SERIAL.\n";

static const char verify[] =
    "usage: peciactl verify [--anchor sha256:HEX] [--json]\n"
    "\n"
    "Reads every file of the repository: signatures, digests, and that all "
    "the\n"
    "newest releases need is there.  Exit status 3: something is damaged, "
    "missing\n"
    "or unknown.  Needs no keys; repositories of mirrors are the same.\n"
    "\n"
    "  --anchor sha256:HEX  digest of the first trust root; else it is "
    "believed\n";

static const char mirror[] =
    "usage: peciactl mirror add NAME --site SITE --key sha256:HEX...\n"
    "                           [--address HOST[:PORT]]...\n"
    "       peciactl mirror change NAME [--site SITE] [--key sha256:HEX]...\n"
    "                              [--address HOST[:PORT]]...\n"
    "       peciactl mirror list [--json]\n"
    "       peciactl mirror remove NAME\n"
    "\n"
    "The signed roster: mirrors by site and by public key.  change replaces "
    "what\n"
    "is given, all keys or all addresses, in one new roster.\n"
    "\n"
    "  --site SITE            where it stands\n"
    "  --key sha256:HEX       digest of its public key, as peciad prints it; "
    "up to 4\n"
    "  --address HOST[:PORT]  where it is reached; may be repeated\n"
    "  --lifetime TIME        of the signed heads [24h]\n"
    "  --wait SECONDS         for another writer to end [60]\n"
    "  --offline, --identity  as publish has them\n";

static const char refresh[] =
    "usage: peciactl refresh [--lifetime TIME] [--wait SECONDS] "
    "[--offline]\n"
    "\n"
    "Signs the heads of all channels again, so that they expire TIME [24h] "
    "from\n"
    "now and name the newest roster.\n";

static const char backup[] =
    "usage: peciactl backup FILE [POLICY]... [OPTION...]\n"
    "       peciactl backup --list FILE\n"
    "       peciactl restore FILE\n"
    "\n"
    "What an origin has and no mirror does: the keys, the TLS identity, and "
    "the\n"
    "files POLICY [*.conf of the directory that KEYS is in]; encrypted under "
    "a\n"
    "passphrase, which is asked for.  restore puts them into KEYS, and never\n"
    "replaces a file that differs.\n"
    "\n"
    "  --passphrase-file FILE  its first line is the passphrase\n"
    "  --key-file FILE         all of it is the secret\n"
    "  --list                  show what is in FILE\n"
    "  --force                 replace FILE\n"
    "  --identity DIR          TLS identity of this host [KEYS/identity]\n";

static const char promote[] =
    "usage: peciactl promote [OPTION...]\n"
    "       peciactl demote\n"
    "\n"
    "promote makes an origin of a mirror's repository, whose peciad must not "
    "run:\n"
    "checks all of it, and publishes what it has under the next serial, so "
    "that\n"
    "the lost origin is behind.  demote makes a mirror's of an origin's.\n"
    "\n"
    "  --above SERIAL   the next serials are above that one\n"
    "  --offline        do not ask the other mirrors who is ahead\n"
    "  --identity DIR   TLS identity of this host, which is not asked\n"
    "                   [KEYS/identity]\n"
    "  --lifetime TIME  of the signed heads [24h]\n"
    "  --wait SECONDS   for another writer to end [60]\n";

static const char rotate[] =
    "usage: peciactl rotate root|release|head... [OPTION...]\n"
    "\n"
    "New keys in place of those: makes them, and the next trust root that says "
    "so,\n"
    "signed by root.pem; signs roster, releases and heads again.\n"
    "\n"
    "  --root-keys DIR  where root.pem is [KEYS]\n"
    "  --above SERIAL   the next serials are above that one\n"
    "  --offline        do not ask mirrors whether another origin publishes\n"
    "  --identity DIR   TLS identity of this host, which is not asked\n"
    "                   [KEYS/identity]\n"
    "  --lifetime TIME  of the signed heads [24h]\n"
    "  --wait SECONDS   for another writer to end [60]\n";

static const char collect[] =
    "usage: peciactl collect [--keep N] [--age TIME] [--bytes SIZE]\n"
    "                        [--grace TIME] [--noop] [--json]\n"
    "\n"
    "Removes what no kept release needs.  The newest release of each channel "
    "is\n"
    "always kept, those before it within all limits given; statements of "
    "all.\n"
    "Publishing, replicating and serving may go on.  Needs no keys.\n"
    "\n"
    "  --keep N        releases of each channel [any number]\n"
    "  --age TIME      made in the last TIME, as 90d [any]\n"
    "  --bytes SIZE    of what a channel's releases need, as 100G [any]\n"
    "  --grace TIME    what ceased to be needed stays so long [1d]\n"
    "  --noop          show what would go, remove nothing\n"
    "  --wait SECONDS  for another writer to end [60]\n"
    "  --json          result for programs\n";

const char *
ctl_help(enum ctl_verb topic)
{
	switch (topic) {
	case CTL_INIT:
		return init;
	case CTL_PUBLISH:
		return publish;
	case CTL_LOG:
		return log_help;
	case CTL_SHOW:
		return show;
	case CTL_VERIFY:
		return verify;
	case CTL_MIRROR_ADD:
	case CTL_MIRROR_CHANGE:
	case CTL_MIRROR_LIST:
	case CTL_MIRROR_REMOVE:
		return mirror;
	case CTL_REFRESH:
		return refresh;
	case CTL_BACKUP:
	case CTL_RESTORE:
		return backup;
	case CTL_PROMOTE:
	case CTL_DEMOTE:
		return promote;
	case CTL_ROTATE:
		return rotate;
	case CTL_COLLECT:
		return collect;
	default:
		return program;
	}
}
