const NAMES = ["webhook-id", "webhook-timestamp", "webhook-signature"];
const text = (field) => Buffer.from(field, "base64").toString();
for (const line of require("node:fs").readFileSync(0, "utf8").trimEnd().split("\n")) {
  const [secret, body, now, ...fields] = line.split("\t");
  const headers = {};
  fields.forEach((field, number) => {
    if (field !== "-") headers[NAMES[number]] = text(field);
  });
  console.log(isGenuine(text(secret), headers, Buffer.from(body, "base64"), Number(now)) ? "yes" : "no");
}
