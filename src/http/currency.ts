/**
 * The active codes of ISO 4217 (as of 2026) by their minor digits. Written out, because the
 * runtime's list is that of CLDR: there the forint and the rupiah have no minor digits, and the
 * Iraqi dinar none of its three. Codes that have no minor unit (gold, tests) are left out.
 */
const codesByMinorDigits = [
  `BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF`,
  ``,
  `AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD
   CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS
   GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD
   LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB
   PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP
   SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG`,
  `BHD IQD JOD KWD LYD OMR TND`,
  `CLF UYW`,
]

const minorDigits = new Map(
  codesByMinorDigits.flatMap((codes, digits) =>
    (codes.match(/\w+/g) ?? []).map((code) => [code, digits] as const),
  ),
)

/** How many decimal places a currency has; undefined for one that does not exist. */
export function minorDigitsOf(currency: string): number | undefined {
  return minorDigits.get(currency)
}
