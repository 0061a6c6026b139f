// A project as HashLips 1.x has it; only the pictures are ours.
const basePath = process.cwd();
const { MODE } = require(`${basePath}/constants/blend_mode.js`);
const { NETWORK } = require(`${basePath}/constants/network.js`);

const network = NETWORK.eth;

const namePrefix = "Eyes";
const description = "Remember to replace this description";
const baseUri = "ipfs://NewUriToReplace";

const solanaMetadata = {
  symbol: "YC",
  seller_fee_basis_points: 1000, // hundredths of a percent
  creators: [{ address: "7fXNuer5sbZtaTEPhtJ5g5gNtuyRoKkvxdjEjEnPN4mC", share: 100 }],
};

const layerConfigurations = [
  {
    growEditionSizeTo: 6,
    layersOrder: [
      { name: "Background", options: { bypassDNA: true } },
      { name: "Eye color", options: { displayName: "Colour", blend: MODE.overlay, opacity: 0.7 } },
      { name: "Lid" },
    ],
  },
  { growEditionSizeTo: 7, layersOrder: [{ name: "Background" }, { name: "Iris" }] },
];
const shuffleLayerConfigurations = false;
const format = { width: 32, height: 32, smoothing: false };
const pixelFormat = { ratio: 2 / 128 };
const background = { generate: true, brightness: "80%", static: false, default: "#000000" };
const extraMetadata = {};
const rarityDelimiter = "#";
const uniqueDnaTorrance = 10000;
const preview = { thumbPerRow: 5, imageRatio: format.height / format.width };

module.exports = { format, baseUri, description, background, layerConfigurations };
