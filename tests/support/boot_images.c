/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/support/boot_images.h"

#include <elf.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef VSR_HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef VSR_HAVE_LZMA
#include <lzma.h>
#endif
#ifdef VSR_HAVE_BZIP2
#include <bzlib.h>
#endif
#ifdef VSR_HAVE_LZ4
#include <lz4.h>
#endif
#ifdef VSR_HAVE_ZSTD
#include <zstd.h>
#endif

enum { SEGMENT_AT = 4096, SETUP_SECTS = 4, CODE_AT = (SETUP_SECTS + 1) * 512 };

int image_fd(const void *data, size_t len)
{
    int fd = memfd_create("image", MFD_CLOEXEC);

    if (fd < 0 || write(fd, data, len) != (ssize_t)len)
        g_error("image_fd");
    return fd;
}

static void put_phdr(uint8_t *image, bool is_32, uint32_t index, uint32_t type,
                     uint64_t offset, uint64_t addr, uint64_t file_len,
                     uint64_t mem_len)
{
    if (is_32) {
        Elf32_Phdr ph = { .p_type = type,
                          .p_offset = (Elf32_Off)offset,
                          .p_vaddr = (Elf32_Addr)addr,
                          .p_paddr = (Elf32_Addr)addr,
                          .p_filesz = (Elf32_Word)file_len,
                          .p_memsz = (Elf32_Word)mem_len,
                          .p_align = 4 };

        memcpy(image + sizeof(Elf32_Ehdr) + index * sizeof(ph), &ph,
               sizeof(ph));
    } else {
        Elf64_Phdr ph = { .p_type = type,
                          .p_offset = offset,
                          .p_vaddr = addr,
                          .p_paddr = addr,
                          .p_filesz = file_len,
                          .p_memsz = mem_len,
                          .p_align = 4 };

        memcpy(image + sizeof(Elf64_Ehdr) + index * sizeof(ph), &ph,
               sizeof(ph));
    }
}

static void put_ehdr(uint8_t *image, bool is_32, uint64_t entry, uint16_t n)
{
    if (is_32) {
        Elf32_Ehdr eh = { .e_ident = ELFMAG,
                          .e_type = ET_EXEC,
                          .e_machine = EM_386,
                          .e_version = 1,
                          .e_entry = (Elf32_Addr)entry,
                          .e_phoff = sizeof(eh),
                          .e_ehsize = sizeof(eh),
                          .e_phentsize = sizeof(Elf32_Phdr),
                          .e_phnum = n };

        eh.e_ident[EI_CLASS] = ELFCLASS32;
        eh.e_ident[EI_DATA] = ELFDATA2LSB;
        eh.e_ident[EI_VERSION] = EV_CURRENT;
        memcpy(image, &eh, sizeof(eh));
    } else {
        Elf64_Ehdr eh = { .e_ident = ELFMAG,
                          .e_type = ET_EXEC,
                          .e_machine = EM_X86_64,
                          .e_version = 1,
                          .e_entry = entry,
                          .e_phoff = sizeof(eh),
                          .e_ehsize = sizeof(eh),
                          .e_phentsize = sizeof(Elf64_Phdr),
                          .e_phnum = n };

        eh.e_ident[EI_CLASS] = ELFCLASS64;
        eh.e_ident[EI_DATA] = ELFDATA2LSB;
        eh.e_ident[EI_VERSION] = EV_CURRENT;
        memcpy(image, &eh, sizeof(eh));
    }
}

GByteArray *image_elf(const image_elf_params *p)
{
    GByteArray *image = g_byte_array_new();
    uint32_t start = SEGMENT_AT + p->prefix;
    uint32_t i;

    g_byte_array_set_size(image, start + p->len);
    memset(image->data, 0, image->len);
    put_ehdr(image->data, p->is_32, p->entry ? p->entry : p->gpa,
             p->pvh_entry ? 2 : 1);
    put_phdr(image->data, p->is_32, 0, PT_LOAD, start, p->gpa, p->len,
             (uint64_t)p->len + p->bss);
    for (i = 0; i < p->len; i++)
        image->data[start + i] = (uint8_t)(i * 7);
    if (p->pvh_entry) {
        const uint32_t note[] = { 4, 4, 18, 0x006e6558, p->pvh_entry };

        put_phdr(image->data, p->is_32, 1, PT_NOTE, 1024, 0, sizeof(note),
                 sizeof(note));
        memcpy(image->data + 1024, note, sizeof(note));
    }
    return image;
}

static GByteArray *sized(const uint8_t *data, size_t len, uint32_t out_len)
{
    GByteArray *out = g_byte_array_new();
    uint8_t tail[4];

    g_byte_array_append(out, data, (guint)len);
    vsr_put32(tail, out_len);
    if (out_len)
        g_byte_array_append(out, tail, 4);
    return out;
}

#ifdef VSR_HAVE_LZMA
static GByteArray *pack_lzma(const GByteArray *in, bool xz)
{
    size_t room = in->len * 2u + 4096, at = 0;
    g_autofree uint8_t *to = g_malloc(room);
    lzma_options_lzma options;

    lzma_lzma_preset(&options, 1);
    if (xz) {
        lzma_filter filters[] = { { LZMA_FILTER_X86, NULL },
                                  { LZMA_FILTER_LZMA2, &options },
                                  { LZMA_VLI_UNKNOWN, NULL } };

        if (lzma_stream_buffer_encode(filters, LZMA_CHECK_CRC32, NULL, in->data,
                                      in->len, to, &at, room) != LZMA_OK)
            return NULL;
    } else {
        lzma_stream lz = LZMA_STREAM_INIT;

        if (lzma_alone_encoder(&lz, &options) != LZMA_OK)
            return NULL;
        lz.next_in = in->data;
        lz.avail_in = in->len;
        lz.next_out = to;
        lz.avail_out = room;
        if (lzma_code(&lz, LZMA_FINISH) != LZMA_STREAM_END)
            return NULL;
        at = lz.total_out;
        lzma_end(&lz);
    }
    return sized(to, at, in->len);
}
#endif

static GByteArray *pack(const GByteArray *in, vsr_packed format)
{
    size_t room = in->len * 2u + 4096;
    g_autofree uint8_t *to = g_malloc(room);

    switch ((int)format) {
    case VSR_PACKED_NONE:
        return sized(in->data, in->len, 0);
#ifdef VSR_HAVE_ZLIB
    case VSR_PACKED_GZIP: {
        z_stream z = { .next_in = in->data,
                       .avail_in = in->len,
                       .next_out = to,
                       .avail_out = (uInt)room };

        deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, 0);
        deflate(&z, Z_FINISH);
        deflateEnd(&z);
        return sized(to, z.total_out, 0);
    }
#endif
#ifdef VSR_HAVE_BZIP2
    case VSR_PACKED_BZIP2: {
        unsigned len = (unsigned)room;

        BZ2_bzBuffToBuffCompress((char *)to, &len, (char *)in->data, in->len, 1,
                                 0, 0);
        return sized(to, len, in->len);
    }
#endif
#ifdef VSR_HAVE_LZMA
    case VSR_PACKED_LZMA:
    case VSR_PACKED_XZ:
        return pack_lzma(in, format == VSR_PACKED_XZ);
#endif
#ifdef VSR_HAVE_LZ4
    case VSR_PACKED_LZ4: {
        int len = LZ4_compress_default((char *)in->data, (char *)to + 8,
                                       (int)in->len, (int)room - 8);

        vsr_put32(to, 0x184c2102);
        vsr_put32(to + 4, (uint32_t)len);
        return sized(to, (size_t)len + 8, in->len);
    }
#endif
#ifdef VSR_HAVE_ZSTD
    case VSR_PACKED_ZSTD:
        return sized(to, ZSTD_compress(to, room, in->data, in->len, 3),
                     in->len);
#endif
    default:
        return NULL;
    }
}

GByteArray *image_bzimage(const GByteArray *payload, vsr_packed format)
{
    g_autoptr(GByteArray) packed = pack(payload, format);
    GByteArray *image;
    uint8_t *h;

    if (!packed)
        return NULL;
    image = g_byte_array_new();
    g_byte_array_set_size(image, CODE_AT + 0x400);
    memset(image->data, 0, image->len);
    h = image->data;
    h[0x1f1] = SETUP_SECTS;
    vsr_put16(h + 0x1fe, 0xaa55);
    h[0x200] = 0xeb;
    h[0x201] = 0x6a;
    memcpy(h + 0x202, "HdrS", 4);
    vsr_put16(h + 0x206, 0x020f);
    h[0x211] = 1; /* loaded high */
    vsr_put32(h + 0x22c, 0x7fffffff);
    vsr_put32(h + 0x230, 0x200000);
    h[0x234] = 1;
    vsr_put16(h + 0x236, 1);
    vsr_put32(h + 0x238, 2047);
    vsr_put32(h + 0x248, 0x400);
    vsr_put32(h + 0x24c, packed->len);
    vsr_put64(h + 0x258, 0x1000000);
    vsr_put32(h + 0x260, 0x400000);
    memset(h + CODE_AT, 0x90, 0x400);
    g_byte_array_append(image, packed->data, packed->len);
    return image;
}

uint32_t image_bzimage_payload(const GByteArray *image)
{
    return CODE_AT + 0x400;
}

void image_put_multiboot(GByteArray *image, uint32_t at, uint32_t flags,
                         uint32_t header_addr, uint32_t load_addr,
                         uint32_t load_end, uint32_t bss_end, uint32_t entry)
{
    uint8_t *h = image->data + at;

    vsr_put32(h, 0x1badb002);
    vsr_put32(h + 4, flags);
    vsr_put32(h + 8, 0u - 0x1badb002u - flags);
    if (!(flags & 1u << 16))
        return;
    vsr_put32(h + 12, header_addr);
    vsr_put32(h + 16, load_addr);
    vsr_put32(h + 20, load_end);
    vsr_put32(h + 24, bss_end);
    vsr_put32(h + 28, entry);
}
