// A SCIM server by others, in another language: so many users, on a free port of loopback.
import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";

const users = Array.from({ length: Number(process.argv[2]) }, (_, n) => ({
  id: `u${n}`,
  userName: `user${n}`,
  externalId: `00u${n}`,
  active: n % 10 > 0,
  password: "t1meMa$heen",
  emails: [{ value: `user${n}@x.io`, primary: true }],
  meta: { created: new Date(0), lastModified: new Date(0) },
}));

SCIMMY.Resources.declare(SCIMMY.Resources.User, {
  egress: (asked) => (asked.id ? users.find((user) => user.id === asked.id) : users),
});

const app = express();
app.use("/scim", new SCIMMYRouters({
  type: "bearer",
  handler: (request) => {
    if (request.header("Authorization") !== `Bearer ${process.env.TOKEN}`) {
      throw new Error("Who are you?");
    }
    return "rollcall";
  },
}));
const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
