/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two levels: an array of chunks, each an array of pages; both are shared by counting references,
 * and only an unshared one may be changed.  The hash is the sum of the pages' hashes.  A page that
 * is in the sum is *summed*, and must be taken out of the sum before it changes; pages that are not
 * summed are in the image's list.
 */
#include "tests/power/image.h"

#define PAGE_BYTES 4096u
#define CHUNK_PAGES 64u
#define CHUNK_BYTES (PAGE_BYTES * CHUNK_PAGES)

typedef struct {
	gint references;
	gboolean summed;
	guint64 hash; /* of a summed page */
	guint8 bytes[PAGE_BYTES];
} ImagePage;

typedef struct {
	gint references;
	ImagePage *pages[CHUNK_PAGES];
} Chunk;

struct Image {
	guint64 size;
	guint n_chunks; /* length of the array */
	Chunk **chunks;
	guint64 sum;
	GArray *unsummed; /* of guint64: numbers of pages, some perhaps more than once */
};

Image *image_new(void)
{
	Image *image = g_new0(Image, 1);

	image->unsummed = g_array_new(FALSE, FALSE, sizeof(guint64));
	return image;
}

static void page_unref(ImagePage *page)
{
	if (page && g_atomic_int_dec_and_test(&page->references))
		g_free(page);
}

static void chunk_unref(Chunk *chunk)
{
	if (!chunk || !g_atomic_int_dec_and_test(&chunk->references))
		return;
	for (guint i = 0; i < CHUNK_PAGES; i++)
		page_unref(chunk->pages[i]);
	g_free(chunk);
}

void image_free(Image *image)
{
	if (!image)
		return;
	for (guint i = 0; i < image->n_chunks; i++)
		chunk_unref(image->chunks[i]);
	g_free(image->chunks);
	g_array_unref(image->unsummed);
	g_free(image);
}

Image *image_clone(Image *image)
{
	Image *clone = image_new();

	image_hash(image);
	clone->size = image->size;
	clone->sum = image->sum;
	clone->n_chunks = image->n_chunks;
	clone->chunks = g_new(Chunk *, image->n_chunks);
	for (guint i = 0; i < image->n_chunks; i++) {
		clone->chunks[i] = image->chunks[i];
		if (clone->chunks[i])
			g_atomic_int_inc(&clone->chunks[i]->references);
	}
	return clone;
}

guint64 image_size(const Image *image)
{
	return image->size;
}

void image_grow(Image *image, guint64 size)
{
	guint n = (guint)((size + CHUNK_BYTES - 1) / CHUNK_BYTES);

	image->size = MAX(image->size, size);
	if (n <= image->n_chunks)
		return;
	image->chunks = g_renew(Chunk *, image->chunks, n);
	memset(image->chunks + image->n_chunks, 0, (n - image->n_chunks) * sizeof *image->chunks);
	image->n_chunks = n;
}

static ImagePage *find(const Image *image, guint64 number)
{
	const Chunk *chunk = image->chunks[number / CHUNK_PAGES];

	return chunk ? chunk->pages[number % CHUNK_PAGES] : NULL;
}

/* The chunk of a page that will be changed: a new chunk, or a copy of a shared one. */
static Chunk *own_chunk(Image *image, guint64 number)
{
	Chunk **at = &image->chunks[number / CHUNK_PAGES], *shared = *at;

	if (shared && g_atomic_int_get(&shared->references) == 1)
		return shared;
	*at = g_new0(Chunk, 1);
	(*at)->references = 1;
	for (guint i = 0; shared && i < CHUNK_PAGES; i++) {
		(*at)->pages[i] = shared->pages[i];
		if (shared->pages[i])
			g_atomic_int_inc(&shared->pages[i]->references);
	}
	chunk_unref(shared);
	return *at;
}

/* Takes a page out of the sum and drops the reference to it. */
static void drop(Image *image, ImagePage **at)
{
	if (*at && (*at)->summed)
		image->sum -= (*at)->hash;
	page_unref(*at);
	*at = NULL;
}

/* A page that will be changed, taken out of the sum.  `whole`: all of it will be written. */
static ImagePage *own_page(Image *image, guint64 number, gboolean whole)
{
	ImagePage **at = &own_chunk(image, number)->pages[number % CHUNK_PAGES], *own = *at;

	if (own && !own->summed)
		return own; /* a page that is not summed is not shared */
	own = *at || whole ? g_new(ImagePage, 1) : g_new0(ImagePage, 1);
	if (*at && !whole)
		memcpy(own->bytes, (*at)->bytes, PAGE_BYTES);
	drop(image, at);
	own->references = 1;
	own->summed = FALSE;
	*at = own;
	g_array_append_val(image->unsummed, number);
	return own;
}

void image_read(const Image *image, IovCursor *to, guint64 offset, gsize length)
{
	while (length) {
		gsize start = offset % PAGE_BYTES, piece = MIN(length, PAGE_BYTES - start);
		const ImagePage *page = find(image, offset / PAGE_BYTES);

		if (page)
			iov_copy_in(to, page->bytes + start, piece);
		else
			iov_zero(to, piece);
		offset += piece;
		length -= piece;
	}
}

gboolean is_zeros(const void *data, gsize length)
{
	const guint8 *bytes = data;

	return length < 8 ? !memcmp(bytes, "\0\0\0\0\0\0\0", length)
			  : !get_le64(bytes) && !memcmp(bytes, bytes + 8, length - 8);
}

/* Whether the data is already there: a recovery rewrites much unchanged data, and zeros over holes.
 */
static gboolean is_there(const Image *image, const guint8 *data, guint64 offset, gsize length)
{
	const ImagePage *page = find(image, offset / PAGE_BYTES);

	return page ? !memcmp(page->bytes + offset % PAGE_BYTES, data, length)
		    : is_zeros(data, length);
}

void image_write(Image *image, const void *data, guint64 offset, gsize length)
{
	for (const guint8 *from = data; length;) {
		gsize start = offset % PAGE_BYTES, piece = MIN(length, PAGE_BYTES - start);

		if (!is_there(image, from, offset, piece))
			memcpy(own_page(image, offset / PAGE_BYTES, piece == PAGE_BYTES)->bytes +
				       start,
			       from, piece);
		from += piece;
		offset += piece;
		length -= piece;
	}
}

void image_punch(Image *image, guint64 offset, guint64 length)
{
	while (length) {
		guint64 number = offset / PAGE_BYTES;
		gsize start = offset % PAGE_BYTES;
		guint64 piece = MIN(length, PAGE_BYTES - start);

		if (!image->chunks[number / CHUNK_PAGES])
			piece = MIN(length, CHUNK_BYTES - offset % CHUNK_BYTES);
		else if (piece == PAGE_BYTES && find(image, number))
			drop(image, &own_chunk(image, number)->pages[number % CHUNK_PAGES]);
		else if (find(image, number))
			memset(own_page(image, number, FALSE)->bytes + start, 0, piece);
		offset += piece;
		length -= piece;
	}
}

static guint64 hash_bytes(const guint8 *bytes)
{
	guint64 lanes[4] = {1, 2, 3, 4}, any = 0;

	for (guint i = 0; i < PAGE_BYTES; i += 32)
		for (guint lane = 0; lane < 4; lane++) {
			guint64 word = get_le64(bytes + i + lane * 8);

			any |= word;
			lanes[lane] = (lanes[lane] ^ word) * 0x9fb21c651e98df25u;
			lanes[lane] ^= lanes[lane] >> 32;
		}
	return any ? mix(mix(lanes[0], lanes[1]), mix(lanes[2], lanes[3])) : 0;
}

guint64 image_hash(Image *image)
{
	for (guint i = 0; i < image->unsummed->len; i++) {
		guint64 number = g_array_index(image->unsummed, guint64, i), hash;
		ImagePage *page = find(image, number);

		if (!page || page->summed)
			continue;
		hash = hash_bytes(page->bytes);
		page->hash = hash ? mix(hash, number) : 0;
		page->summed = TRUE;
		image->sum += page->hash;
	}
	if (image->unsummed->len)
		g_array_set_size(image->unsummed, 0);
	return mix(image->sum, image->size);
}

gboolean image_save(const Image *image, FILE *file)
{
	const guint64 end = G_MAXUINT64;
	gboolean good = fwrite(&image->size, sizeof image->size, 1, file) == 1;

	for (guint64 number = 0; good && number < (guint64)image->n_chunks * CHUNK_PAGES;
	     number++) {
		const ImagePage *page = find(image, number);

		if (page)
			good = fwrite(&number, sizeof number, 1, file) == 1 &&
			       fwrite(page->bytes, PAGE_BYTES, 1, file) == 1;
	}
	return good && fwrite(&end, sizeof end, 1, file) == 1;
}

Image *image_load(FILE *file)
{
	g_autoptr(Image) image = image_new();
	guint8 bytes[PAGE_BYTES];
	guint64 number;

	if (fread(&number, sizeof number, 1, file) != 1)
		return NULL;
	image_grow(image, number);
	while (fread(&number, sizeof number, 1, file) == 1 && number < image_size(image)) {
		if (fread(bytes, PAGE_BYTES, 1, file) != 1)
			return NULL;
		image_write(image, bytes, number * PAGE_BYTES, PAGE_BYTES);
	}
	return number == G_MAXUINT64 ? g_steal_pointer(&image) : NULL;
}
