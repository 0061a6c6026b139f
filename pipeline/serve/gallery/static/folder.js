export const folder = {};
