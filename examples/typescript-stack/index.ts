// A fleet in a network of its own, with a database.
import * as expressway from "@pulumi/expressway";
import * as pulumi from "@pulumi/pulumi";

const archives = new pulumi.Config().require("archives");

const network = new expressway.Network("shop", { cidr: "10.60.0.0/16", natPerZone: false });
const release = new expressway.Release("shop-release", {
  app: { path: `${archives}/app.tar.gz` },
  runtime: { path: `${archives}/runtime.tar.gz` },
  forceDestroy: true,
});
const database = new expressway.Database("shop-db", {
  vpcId: network.vpcId,
  subnetIds: network.privateSubnetIds,
  multiAz: false,
  deletionProtection: false,
  finalSnapshot: false,
});
const app = new expressway.AppServers("shop-app", {
  vpcId: network.vpcId,
  subnetIds: network.privateSubnetIds,
  release: release.access,
  database: database.access,
});
const edge = new expressway.LoadBalancer("shop-edge", {
  vpcId: network.vpcId,
  subnetIds: network.publicSubnetIds,
  bucket: release.bucket,
  bucketArn: release.bucketArn,
  targets: app.targets,
});

export const url = edge.url;
