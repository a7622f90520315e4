// Names each file whose text is not as HashiCorp's own formatter writes it.
// node hcl_format.js FOLDER-OF-NODE-MODULES FILE…
const fs = require("fs");
const [modules, ...files] = process.argv.slice(2);
const { format } = require(`${modules}/@cdktf/hcl-tools`);

(async () => {
  for (const file of files) {
    const text = fs.readFileSync(file, "utf8");
    if ((await format(text)) !== text) console.log(file);
  }
  process.exit(0); // the formatter's runtime would keep the process alive
})();
