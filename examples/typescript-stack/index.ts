// A fleet in a network of its own, with a database.
import * as expressway from "@pulumi/expressway";
import * as pulumi from "@pulumi/pulumi";

const archives = new pulumi.Config().require("archives");

// What no argument is for: every role that a component makes gets the platform's permissions boundary.
const withinBoundary: pulumi.ResourceTransform = ({ type, props, opts }) =>
  type === "aws:iam/role:Role"
    ? { props: { ...props, permissionsBoundary: "arn:aws:iam::aws:policy/PowerUserAccess" }, opts }
    : undefined;

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
}, { transforms: [withinBoundary] });
const edge = new expressway.LoadBalancer("shop-edge", {
  vpcId: network.vpcId,
  subnetIds: network.publicSubnetIds,
  bucket: release.bucket,
  bucketArn: release.bucketArn,
  targets: app.targets,
});

export const url = edge.url;
