// What a CommonJS program sees. It is only compiled.
import vfio = require("vfio");
import user = require("vfio/user");

const support: vfio.Support = vfio.support;
const container: vfio.Container = vfio.openContainer();
// @ts-expect-error an address is a string: the types are there, and are not all "any"
container.attach(1);

export = { support, error: vfio.VfioError, server: user.VfioUserServer };
