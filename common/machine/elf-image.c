/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/elf-image.h"

#include <elf.h>
#include <string.h>

#define TEXT_MAX 255

G_STATIC_ASSERT(sizeof(void *) == 8);

/* `length` bytes of the file from `offset`, or NULL if the file is shorter. */
static const void *image_part(const ElfImage *image, guint64 offset, guint64 length)
{
	if (offset > image->length || length > image->length - offset)
		return NULL;
	return image->data + offset;
}

static gboolean image_read_header(const ElfImage *image, Elf64_Ehdr *ret_header)
{
	const guint8 order = G_BYTE_ORDER == G_LITTLE_ENDIAN ? ELFDATA2LSB : ELFDATA2MSB;

	if (image->length < sizeof *ret_header)
		return FALSE;
	memcpy(ret_header, image->data, sizeof *ret_header);
	return !memcmp(ret_header->e_ident, ELFMAG, SELFMAG) &&
	       ret_header->e_ident[EI_CLASS] == ELFCLASS64 &&
	       ret_header->e_ident[EI_DATA] == order &&
	       ret_header->e_shentsize == sizeof(Elf64_Shdr);
}

static gboolean image_read_section(const ElfImage *image, const Elf64_Ehdr *header, guint index,
				   Elf64_Shdr *ret_section)
{
	const void *at;

	if (index >= header->e_shnum || header->e_shoff > image->length)
		return FALSE;
	at = image_part(image, header->e_shoff + (guint64)index * sizeof *ret_section,
			sizeof *ret_section);
	if (at)
		memcpy(ret_section, at, sizeof *ret_section);
	return at != NULL;
}

/* A section of equal entries, and the string table that it is linked to. */
typedef struct {
	const guint8 *entries;
	guint64 n_entries;
	const char *strings;
	guint64 n_strings; /* bytes */
} ElfTable;

static gboolean table_load(const ElfImage *image, const Elf64_Ehdr *header,
			   const Elf64_Shdr *section, gsize entry_size, ElfTable *ret_table)
{
	Elf64_Shdr strings;

	if (section->sh_entsize != entry_size ||
	    !image_read_section(image, header, section->sh_link, &strings))
		return FALSE;
	ret_table->entries = image_part(image, section->sh_offset, section->sh_size);
	ret_table->n_entries = section->sh_size / entry_size;
	ret_table->strings = image_part(image, strings.sh_offset, strings.sh_size);
	ret_table->n_strings = strings.sh_size;
	return ret_table->entries && ret_table->strings;
}

static gboolean table_find(const ElfImage *image, guint32 type, gsize entry_size,
			   ElfTable *ret_table)
{
	Elf64_Ehdr header;
	Elf64_Shdr section;

	if (!image_read_header(image, &header))
		return FALSE;
	for (guint i = 0; image_read_section(image, &header, i, &section); i++)
		if (section.sh_type == type)
			return table_load(image, &header, &section, entry_size, ret_table);
	return FALSE;
}

/* The string at this offset of the string table; "" if it does not end within the table. */
static const char *table_string(const ElfTable *table, guint64 offset)
{
	if (offset >= table->n_strings ||
	    !memchr(table->strings + offset, '\0', (gsize)(table->n_strings - offset)))
		return "";
	return table->strings + offset;
}

gboolean elf_image_exports(const ElfImage *image, const char *symbol)
{
	Elf64_Sym entry;
	ElfTable table;

	if (!table_find(image, SHT_DYNSYM, sizeof entry, &table))
		return FALSE;
	for (guint64 i = 0; i < table.n_entries; i++) {
		memcpy(&entry, table.entries + i * sizeof entry, sizeof entry);
		if (entry.st_shndx != SHN_UNDEF &&
		    !strcmp(table_string(&table, entry.st_name), symbol))
			return TRUE;
	}
	return FALSE;
}

char *elf_image_needs(const ElfImage *image, const char *prefix)
{
	Elf64_Dyn entry;
	ElfTable table;

	if (!table_find(image, SHT_DYNAMIC, sizeof entry, &table))
		return NULL;
	for (guint64 i = 0; i < table.n_entries; i++) {
		memcpy(&entry, table.entries + i * sizeof entry, sizeof entry);
		if (entry.d_tag == DT_NEEDED &&
		    g_str_has_prefix(table_string(&table, entry.d_un.d_val), prefix))
			return g_strdup(table_string(&table, entry.d_un.d_val));
	}
	return NULL;
}

static gboolean is_text(const guint8 *at, gsize length)
{
	for (gsize i = 0; i < length; i++)
		if (!g_ascii_isprint(at[i]))
			return FALSE;
	return length > 0;
}

char *elf_image_find_text(const ElfImage *image, ElfTextTest test)
{
	const guint8 *end = image->data + image->length;

	for (const guint8 *at = image->data, *zero; at < end; at = zero + 1) {
		char text[TEXT_MAX + 1];
		gsize length;

		zero = memchr(at, '\0', (gsize)(end - at));
		if (!zero)
			break;
		length = (gsize)(zero - at);
		if (length > TEXT_MAX || !is_text(at, length))
			continue;
		memcpy(text, at, length + 1);
		if (test(text))
			return g_strdup(text);
	}
	return NULL;
}
