import { createPrivateKey } from 'node:crypto'

/**
 * A certificate that the host signed for itself, good from 2020 to 2120, with its key. It protects
 * nothing: the tests of egress trust it, and nobody else does.
 */
export const host = 'hooks.receiver.example'

export const cert = `-----BEGIN CERTIFICATE-----
MIIBiDCCAS6gAwIBAgIBATAKBggqhkjOPQQDAjAhMR8wHQYDVQQDDBZob29rcy5y
ZWNlaXZlci5leGFtcGxlMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAw
WjAhMR8wHQYDVQQDDBZob29rcy5yZWNlaXZlci5leGFtcGxlMFkwEwYHKoZIzj0C
AQYIKoZIzj0DAQcDQgAELO+iGD4KHT4f+gG91YprGsm87v4TOHOU6zBsygGCbMm8
GvU4p5l5bdvr6W77pS+m8yCkEkmQiz1Q3IhOjLR18qNVMFMwIQYDVR0RBBowGIIW
aG9va3MucmVjZWl2ZXIuZXhhbXBsZTAPBgNVHRMBAf8EBTADAQH/MB0GA1UdDgQW
BBSTjxIItb/9jv8MhyUd+QIKNF/tPTAKBggqhkjOPQQDAgNIADBFAiEAnKgfJgrk
haHaaRmwTypjW/N+fPMseJ0QMaUKlAhpi+sCIBDoCc/WKXFE+JE7Mv6JLITvEtrD
4Fzw6bVKZcO9zBed
-----END CERTIFICATE-----
`

const keyDer =
  'MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg4erOc8VZP0yg/xmn1AtnNCcRNEfeaiTJRyTVKiISRK6h' +
  'RANCAAQs76IYPgodPh/6Ab3Vimsaybzu/hM4c5TrMGzKAYJsybwa9TinmXlt2+vpbvulL6bzIKQSSZCLPVDciE6MtHXy'

export const key = createPrivateKey({
  key: Buffer.from(keyDer, 'base64'),
  format: 'der',
  type: 'pkcs8',
}).export({ format: 'pem', type: 'pkcs8' })
