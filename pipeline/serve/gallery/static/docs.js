export class DocsView { static async open() { return new DocsView(); } element = document.createElement("div"); goTo() {} }
