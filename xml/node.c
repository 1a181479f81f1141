/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * node.c: reading elements against tables.
 *
 * Threads: any.
 */
#include "xml/node.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/util.h"

/* Element names of libvirt's domain format that we do not have: they get
 * NO_SUPPORT, what is no such name gets XML. Sorted. */
static const char *const known_names[] = {
    "access",
    "acpi",
    "address",
    "alias",
    "allocation",
    "audio",
    "auth",
    "backend",
    "backingStore",
    "bandwidth",
    "bios",
    "blkiotune",
    "bootloader",
    "bootloader_args",
    "cache",
    "cachetune",
    "channel",
    "clusters",
    "commandline",
    "controller",
    "counter",
    "cputune",
    "crypto",
    "defaultiothread",
    "devices",
    "dirty-ring",
    "discard",
    "disk",
    "driver",
    "dtb",
    "emulator",
    "encryption",
    "entry",
    "feature",
    "features",
    "filesystem",
    "firmware",
    "genid",
    "gic",
    "graphics",
    "hap",
    "hostdev",
    "hpt",
    "htm",
    "hub",
    "hyperv",
    "idmap",
    "init",
    "initarg",
    "input",
    "interface",
    "ioapic",
    "iommu",
    "iothreadids",
    "iothreads",
    "iotune",
    "keywrap",
    "kvm",
    "launchSecurity",
    "lease",
    "link",
    "log",
    "mac",
    "maxMemory",
    "maxphysaddr",
    "memballoon",
    "memory",
    "memtune",
    "msrs",
    "ndiscards",
    "numa",
    "numatune",
    "nvram",
    "on_lockfailure",
    "page",
    "panic",
    "parallel",
    "pcihole64",
    "perf",
    "pm",
    "pmu",
    "privnet",
    "protocol",
    "ps2",
    "pvspinlock",
    "redirdev",
    "redirfilter",
    "resource",
    "rng",
    "seclabel",
    "shareable",
    "shmem",
    "shmpages",
    "smartcard",
    "smbios",
    "smm",
    "sound",
    "source",
    "sysinfo",
    "target",
    "tcg",
    "timer",
    "tpm",
    "transient",
    "varstore",
    "vcpus",
    "vendor",
    "video",
    "viridian",
    "vmcoreinfo",
    "vmport",
    "vsock",
    "watchdog",
    "xen",
};

static bool is_known(const char *name)
{
    size_t low = 0, high = VSR_ARRAY_SIZE(known_names);

    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = strcmp(name, known_names[mid]);

        if (order == 0)
            return true;
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return false;
}

/* A text node has the line of its end; its first character is what counts. */
static long line_of(const xmlNode *node)
{
    long line = xmlGetLineNo(node);
    const char *p;

    if (node->type != XML_TEXT_NODE || !node->content)
        return line;
    p = (const char *)node->content;
    p += strspn(p, " \t\r\n");
    for (; *p; p++)
        line -= *p == '\n';
    return line;
}

bool vsr_xml_fail(const xmlNode *node, visor_error_code code, GError **error,
                  const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    /* One line, whatever stood in a value. */
    g_strdelimit(text, "\r\n", ' ');
    return vsr_fail(error, code, "line %ld: %s", line_of(node), text);
}

static bool is_name(const xmlNode *node, const char *name)
{
    if (node->ns) {
        if (strncmp(name, "visor:", 6) != 0 ||
            strcmp((const char *)node->ns->href, VSR_XML_NAMESPACE) != 0)
            return false;
        name += 6;
    }
    return strcmp((const char *)node->name, name) == 0;
}

/* `name` is a word of the space-terminated words in `list`. */
static bool in_list(const char *list, const char *name)
{
    size_t len = strlen(name);

    for (const char *end; (end = strchr(list, ' ')); list = end + 1)
        if ((size_t)(end - list) == len && memcmp(list, name, len) == 0)
            return true;
    return false;
}

bool vsr_xml_check_attrs(const xmlNode *node, const char *attrs, GError **error)
{
    for (const xmlNs *ns = node->nsDef; ns; ns = ns->next)
        if (strcmp((const char *)ns->href, VSR_XML_NAMESPACE) != 0)
            return vsr_xml_fail(node, VISOR_ERR_NO_SUPPORT, error,
                                "namespace '%s' of '%s' is not supported",
                                (const char *)ns->href,
                                (const char *)node->name);
    for (const xmlAttr *attr = node->properties; attr; attr = attr->next)
        if (attr->ns || !in_list(attrs, (const char *)attr->name))
            return vsr_xml_fail(
                node, VISOR_ERR_NO_SUPPORT, error,
                "attribute '%s%s%s' of '%s' is not supported",
                attr->ns && attr->ns->prefix ? (const char *)attr->ns->prefix
                                             : "",
                attr->ns && attr->ns->prefix ? ":" : "",
                (const char *)attr->name, (const char *)node->name);
    return true;
}

static bool is_blank(const xmlNode *text)
{
    return !text->content ||
           text->content[strspn((const char *)text->content, " \t\r\n")] ==
               '\0';
}

/* An element to be read by its parent's table; anything else is judged here.
 * Sets *is_element. */
static bool check_child(const xmlNode *child, bool *is_element, GError **error)
{
    const char *parent =
        child->parent ? (const char *)child->parent->name : "document";

    *is_element = child->type == XML_ELEMENT_NODE;
    if (*is_element || child->type == XML_COMMENT_NODE ||
        (child->type == XML_TEXT_NODE && is_blank(child)))
        return true;
    if (child->type == XML_TEXT_NODE)
        return vsr_xml_fail(child, VISOR_ERR_XML, error,
                            "text in '%s', which has none", parent);
    return vsr_xml_fail(child, VISOR_ERR_XML, error,
                        "a processing instruction in '%s' is not supported",
                        parent);
}

static bool refuse_child(const xmlNode *child, GError **error)
{
    const char *prefix =
        child->ns && child->ns->prefix ? (const char *)child->ns->prefix : NULL;

    return vsr_xml_fail(
        child,
        !child->ns && is_known((const char *)child->name) ? VISOR_ERR_NO_SUPPORT
                                                          : VISOR_ERR_XML,
        error, "element '<%s%s%s>' of '%s' is not supported",
        prefix ? prefix : "", prefix ? ":" : "", (const char *)child->name,
        (const char *)child->parent->name);
}

static bool check_empty(const xmlNode *node, GError **error)
{
    return vsr_xml_read_children(node, NULL, 0, NULL, error);
}

bool vsr_xml_read_children(const xmlNode *node, const vsr_xml_element *table,
                           size_t n, void *to, GError **error)
{
    uint64_t seen = 0;

    for (const xmlNode *child = node->children; child; child = child->next) {
        bool is_element;
        size_t i = 0;

        if (!check_child(child, &is_element, error))
            return false;
        if (!is_element)
            continue;
        while (i < n && !is_name(child, table[i].name))
            i++;
        if (i == n)
            return refuse_child(child, error);
        if (seen & UINT64_C(1) << i && !(table[i].flags & VSR_XML_MANY))
            return vsr_xml_fail(child, VISOR_ERR_XML, error,
                                "element '<%s>' of '%s' is given twice",
                                (const char *)child->name,
                                (const char *)node->name);
        seen |= UINT64_C(1) << i;
        if (!(table[i].flags & VSR_XML_RAW) &&
            !vsr_xml_check_attrs(child, table[i].attrs, error))
            return false;
        if (table[i].flags & VSR_XML_EMPTY && !check_empty(child, error))
            return false;
        if (!table[i].read(child, to, error))
            return false;
    }
    return true;
}

const char *vsr_xml_attr(const xmlNode *node, const char *name)
{
    for (const xmlAttr *attr = node->properties; attr; attr = attr->next)
        if (!attr->ns && strcmp((const char *)attr->name, name) == 0) {
            /* Entities are replaced, so a value is one text node. */
            if (!attr->children || !attr->children->content)
                return "";
            return (const char *)attr->children->content;
        }
    return NULL;
}

bool vsr_xml_text(const xmlNode *node, char **out, GError **error)
{
    GString *text = NULL;

    for (const xmlNode *child = node->children; child; child = child->next) {
        if (child->type == XML_TEXT_NODE || child->type == XML_COMMENT_NODE)
            continue;
        if (child->type == XML_ELEMENT_NODE)
            return refuse_child(child, error);
        return vsr_xml_fail(child, VISOR_ERR_XML, error,
                            "'%s' has more than text in it",
                            (const char *)node->name);
    }
    for (const xmlNode *child = node->children; child; child = child->next) {
        if (child->type != XML_TEXT_NODE || !child->content)
            continue;
        if (!text)
            text = g_string_new(NULL);
        g_string_append(text, (const char *)child->content);
    }
    if (text)
        *out = g_string_free(text, text->len == 0);
    return true;
}

static bool find_choice(const xmlNode *node, const char *what,
                        const char *value, const char *const *texts, int *out,
                        GError **error)
{
    g_autofree char *all = NULL;

    for (int i = 0; texts[i]; i++)
        if (strcmp(texts[i], value) == 0) {
            *out = i;
            return true;
        }
    all = g_strjoinv(", ", (char **)(uintptr_t)texts);
    return vsr_xml_fail(node, VISOR_ERR_NO_SUPPORT, error,
                        "%s of '%s': value '%.64s' is not supported (%s)", what,
                        (const char *)node->name, value, all);
}

bool vsr_xml_attr_choice(const xmlNode *node, const char *name,
                         const char *const *texts, int *out, GError **error)
{
    const char *value = vsr_xml_attr(node, name);
    g_autofree char *what = NULL;

    if (!value)
        return true;
    for (int i = 0; texts[i]; i++)
        if (strcmp(texts[i], value) == 0) {
            *out = i;
            return true;
        }
    what = g_strdup_printf("attribute '%s'", name);
    return find_choice(node, what, value, texts, out, error);
}

bool vsr_xml_text_choice(const xmlNode *node, const char *const *texts,
                         int *out, GError **error)
{
    g_autofree char *text = NULL;

    if (!vsr_xml_text(node, &text, error))
        return false;
    if (!text)
        return vsr_xml_fail(node, VISOR_ERR_XML, error, "'%s' is empty",
                            (const char *)node->name);
    return find_choice(node, "text", g_strstrip(text), texts, out, error);
}

bool vsr_xml_parse_u64(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    const char *p = text + strspn(text, " \t\r\n");

    if (!g_ascii_isdigit(*p))
        return false;
    for (; g_ascii_isdigit(*p); p++)
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return false;
    if (p[strspn(p, " \t\r\n")] != '\0')
        return false;
    *out = value;
    return true;
}

bool vsr_xml_attr_u32(const xmlNode *node, const char *name, uint32_t *out,
                      GError **error)
{
    const char *text = vsr_xml_attr(node, name);
    uint64_t value;

    if (!text)
        return true;
    if (!vsr_xml_parse_u64(text, &value) || value > UINT32_MAX)
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "attribute '%s' of '%s': '%.64s' is not a number "
                            "from 0 to %u",
                            name, (const char *)node->name, text, UINT32_MAX);
    *out = (uint32_t)value;
    return true;
}

bool vsr_xml_attr_i64(const xmlNode *node, const char *name, int64_t *out,
                      GError **error)
{
    const char *text = vsr_xml_attr(node, name);
    bool is_negative;
    uint64_t value;

    if (!text)
        return true;
    is_negative = text[0] == '-' && g_ascii_isdigit(text[1]);
    if (!vsr_xml_parse_u64(text + is_negative, &value) || value > INT64_MAX)
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "attribute '%s' of '%s': '%.64s' is not a number",
                            name, (const char *)node->name, text);
    *out = is_negative ? -(int64_t)value : (int64_t)value;
    return true;
}

bool vsr_xml_text_u64(const xmlNode *node, uint64_t *out, GError **error)
{
    g_autofree char *text = NULL;

    if (!vsr_xml_text(node, &text, error))
        return false;
    if (!text || !vsr_xml_parse_u64(text, out))
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'%s': '%.64s' is not a number, or too large",
                            (const char *)node->name, text ? text : "");
    return true;
}
