"""Tables in, frozen runs and manifests out; streamed, so that memory does not grow with the catalog."""
