"use strict";
// A project as nftchef 2.x has it; only the pictures are ours.
const path = require("path");
const isLocal = typeof process.pkg === "undefined";
const basePath = isLocal ? process.cwd() : path.dirname(process.execPath);
const { MODE } = require(path.join(basePath, "src/blendMode.js"));
const buildDir = path.join(basePath, "/build");
const layersDir = path.join(basePath, "/layers");

const description = "Heads";
const baseUri = "ipfs://NewUriToReplace";
const outputJPEG = false;
const startIndex = 0;
const format = { width: 32, height: 32, smoothing: true };
const background = { generate: true, brightness: "80%" };

const layerConfigurations = [
  {
    growEditionSizeTo: 24,
    namePrefix: "Series 2",
    layersOrder: [
      { name: "Background" },
      { name: "Head" },
      { name: "Clothes", blend: MODE.multiply, opacity: 0.9 },
      { name: "Eyes" },
      { name: "Accessory", trait: "Worn", options: { bypassDNA: false } },
    ],
  },
];
const shuffleLayerConfigurations = false;
const debugLogs = true;
const emptyLayerName = "NONE";
const incompatible = {
  floral: ["Helmet"],
};
const forcedCombinations = {
  tee: ["shades"],
};
const traitValueOverrides = { Helmet: "Space Helmet" };
const extraMetadata = {};
const extraAttributes = () => [
  // { trait_type: "Aqua Power", value: Math.random() * 100 },
];
const hashImages = true;
const rarityDelimiter = "#";
const uniqueDnaTorrance = 10000;
const useRootTraitType = true;

module.exports = { background, baseUri, layerConfigurations, useRootTraitType };
