"""What a pod was given by the resource managers of its node: device plugins through the kubelet, and DRA drivers."""
