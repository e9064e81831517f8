/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare: whether two volumes, snapshots or images hold the same bytes.
 */
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/image-copy.h"
#include "cli/interrupt.h"
#include "cli/medium-open.h"
#include "common/base/error.h"
#include "common/base/units.h"

enum { COMPARE_EQUAL = 0, COMPARE_DIFFER = 1, COMPARE_FAILED = 3 };

typedef struct {
	const Cli *cli;
	char *format;
	gboolean other_files;
} Comparing;

static void comparing_clear(Comparing *comparing)
{
	g_free(comparing->format);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Comparing, comparing_clear)

/* A path of a file, which begins with "/" or ".".  A block device is a volume, unless a format is
 * given for the second argument. */
static gboolean is_file(const Comparing *comparing, guint index, const char *text)
{
	struct stat st;

	if (index && comparing->format)
		return TRUE;
	return (*text == '/' || *text == '.') && !strchr(text, '@') &&
	       (stat(text, &st) || !S_ISBLK(st.st_mode));
}

static Medium *side_open(const Comparing *comparing, guint index, TemporarySnapshot *ret_temporary,
			 GError **error)
{
	const char *text = comparing->cli->arguments[index], *format = "raw";
	g_autoptr(VolumeName) name = NULL;

	if (is_file(comparing, index, text)) {
		if (index && comparing->format)
			format = comparing->format;
		else if (!strcmp(transfer_format_detect(text), "qcow2"))
			format = "qcow2";
		return medium_open_file(
			text, format, comparing->other_files ? MEDIUM_QEMU_OTHER_FILES : 0, error);
	}
	name = volume_name_parse_any(text, error);
	return name ? medium_open_volume(comparing->cli->config, name, ret_temporary, error) : NULL;
}

static int difference_report(const Cli *cli, const ImageDifference *difference,
			     const guint64 sizes[2])
{
	const char *a = cli->arguments[0], *b = cli->arguments[1];
	g_autofree char *read = size_format(difference->read);
	Json *object = json_object_new_object();

	json_add_text(object, "a", a);
	json_add_text(object, "b", b);
	json_add_flag(object, "equal", !difference->differ);
	json_add_number(object, "size_a", sizes[0]);
	json_add_number(object, "size_b", sizes[1]);
	json_add_number(object, "compared", difference->read);
	if (difference->differ) {
		json_add_number(object, "differ", difference->differ);
		json_add_number(object, "first", difference->first);
		cli_report(cli, object,
			   "%s and %s differ in %" G_GUINT64_FORMAT
			   " bytes, the first of them byte %" G_GUINT64_FORMAT,
			   a, b, difference->differ, difference->first);
		return COMPARE_DIFFER;
	}
	if (sizes[0] != sizes[1])
		cli_report(cli, object,
			   "%s and %s are equal, %s of data, but have %" G_GUINT64_FORMAT
			   " and %" G_GUINT64_FORMAT " bytes: the rest is zeros",
			   a, b, read, sizes[0], sizes[1]);
	else
		cli_report(cli, object, "%s and %s are equal, %s of data", a, b, read);
	return COMPARE_EQUAL;
}

static int compare_run(const Comparing *comparing, GError **error)
{
	g_autofree char *what = g_strdup_printf("compare %s and %s", comparing->cli->arguments[0],
						comparing->cli->arguments[1]);
	TransferProgress progress = {.what = what};
	g_auto(TemporarySnapshot) of_a = {0}, of_b = {0}; /* dropped after the media */
	g_autoptr(Medium) a = side_open(comparing, 0, &of_a, error);
	g_autoptr(Medium) b = a ? side_open(comparing, 1, &of_b, error) : NULL;
	ImageDifference difference;

	interrupt_hold();
	if (!b || !image_compare(a, b, &progress, &difference, error))
		return COMPARE_FAILED;
	return difference_report(comparing->cli, &difference,
				 (guint64[]){medium_size(a), medium_size(b)});
}

static int verb_compare_run(int argc, char **argv)
{
	g_auto(Comparing) comparing = {0};
	const GOptionEntry options[] = {
		{"format", 0, 0, G_OPTION_ARG_FILENAME, &comparing.format,
		 "Format of the second, which is a file then: raw, qcow2, vmdk, vdi, vhdx, vpc...",
		 "FORMAT"},
		{"allow-backing", 0, 0, G_OPTION_ARG_NONE, &comparing.other_files,
		 "Read the other files that an image names, whichever those are", NULL},
		{0},
	};
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_compare, options, 2, 2, argc, argv, &status))
		return status;
	if (comparing.format && strcmp(comparing.format, "raw") != 0 &&
	    !medium_qemu_knows(comparing.format))
		return cli_usage("compare: unknown format '%s'", comparing.format);
	comparing.cli = &cli;
	status = compare_run(&comparing, &error);
	if (status != COMPARE_FAILED)
		return status;
	g_prefix_error(&error, "compare: ");
	cli_failed(error);
	return COMPARE_FAILED;
}

const Verb verb_compare = {"compare", "A B [--format FORMAT]",
			   "compare two volumes, snapshots or images", verb_compare_run};
