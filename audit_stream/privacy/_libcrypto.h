/* What the compiled parts of sealing share over OpenSSL's libcrypto. No cryptography of our own:
 * hashing is EVP_Digest*, encryption EVP_aes_256_gcm; HMAC is RFC 2104 over the former.
 */

#ifndef AUDIT_STREAM_LIBCRYPTO_H
#define AUDIT_STREAM_LIBCRYPTO_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define KEY 32
#define SHA256 32
#define TREE_DEPTH 28 /* of the key tree: two-bit digits of a tag's first 56 bits */

/* Fetched once when the module is imported; never changed, so any thread may use them. */
extern EVP_MD *sha256_md, *sha512_md;
extern EVP_CIPHER *aes_gcm;

/* seal(rises, partition, source, regulatory_tag) -> (lines, hashes): `_sealing.c`. */
PyObject *seal(PyObject *self, PyObject *args);
/* Derivation(pepper, cover, stream): `_derivation.c`. */
extern PyType_Spec derivation_spec;

static inline int hash2(EVP_MD_CTX *ctx, const EVP_MD *md, const void *a, size_t a_len,
                        const void *b, size_t b_len, unsigned char *out) {
    return EVP_DigestInit_ex2(ctx, md, NULL) && EVP_DigestUpdate(ctx, a, a_len) &&
           EVP_DigestUpdate(ctx, b, b_len) && EVP_DigestFinal_ex(ctx, out, NULL);
}

/* RFC 2104 with a key of 32 bytes; `block` is the hash's block size, at most 128. */
static inline int hmac(EVP_MD_CTX *ctx, const EVP_MD *md, size_t block, size_t size,
                       const unsigned char *key, const void *data, size_t data_len,
                       unsigned char *out) {
    unsigned char pad[128], inner[64];
    int good;
    memset(pad, 0x36, block);
    for (int i = 0; i < KEY; i++) pad[i] ^= key[i];
    good = hash2(ctx, md, pad, block, data, data_len, inner);
    for (size_t i = 0; i < block; i++) pad[i] ^= 0x36 ^ 0x5c;
    good = good && hash2(ctx, md, pad, block, inner, size, out);
    OPENSSL_cleanse(pad, sizeof pad);
    OPENSSL_cleanse(inner, sizeof inner);
    return good;
}

/* From a node of the key tree at `depth` down to `bottom`, in place, by the digits of a path: each
 * step is SHA-256(00000001 || node || digit || "as-ggm1"). */
static inline int descend(EVP_MD_CTX *ctx, unsigned char *node, unsigned long long path, int depth,
                          int bottom) {
    unsigned char message[44];
    int good = 1;
    memcpy(message, "\x00\x00\x00\x01", 4);
    memcpy(message + 4, node, KEY);
    memcpy(message + 37, "as-ggm1", 7);
    for (; good && depth < bottom; depth++) {
        message[36] = (path >> (2 * (TREE_DEPTH - 1 - depth))) & 3;
        good = hash2(ctx, sha256_md, message, sizeof message, "", 0, message + 4);
    }
    memcpy(node, message + 4, KEY);
    OPENSSL_cleanse(message, sizeof message);
    return good;
}

static inline PyObject *refused(void) {
    PyErr_SetString(PyExc_RuntimeError, "OpenSSL refused a primitive");
    return NULL;
}

static inline int sized(Py_ssize_t got, Py_ssize_t want, const char *name) {
    if (got == want) return 1;
    PyErr_Format(PyExc_ValueError, "%s must have %zd bytes, not %zd", name, want, got);
    return 0;
}

#endif
