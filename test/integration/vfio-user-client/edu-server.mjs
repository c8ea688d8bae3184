// An edu device in a process of its own: node edu-server.mjs PATH [OPTIONS], both as JSON. Says "ready", and ends with its standard input.
import { eduDevice, VfioUserServer } from "../../../dist/vfio-user/index.js";

const [path = '""', options = "{}"] = process.argv.slice(2);
const { server: serverOptions = {}, device = {} } = JSON.parse(options);
const server = VfioUserServer.listen(eduDevice(device), JSON.parse(path), serverOptions);
process.stdout.write("ready\n");
process.stdin.resume();
process.stdin.on("end", () => server.close());
