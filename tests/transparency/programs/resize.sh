# Told of a new window size by SIGWINCH.
trap 'set -- $(stty size); echo "resized $1 $2"' WINCH
echo ready
while :; do sleep 0.05; done
