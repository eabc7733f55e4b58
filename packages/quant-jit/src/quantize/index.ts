/** The quantisers: 1, 1.58, 4 and 8 bits, calibration, mixes. */
export {};
