-- Servers that have gone silent: hung, powered off or cut off. Nginx alone would wait for them for all of proxy_read_timeout.
--
-- A server that has requests in flight, and has ended none for a moment, is probed: a line that isn't HTTP, which a server
-- answers itself (400), whatever its app is busy with. Any answer, even a closed connection, shows that it lives; however late
-- its answers are, that is its app's affair. Without one it is put aside, and the connections on which a GET waits are
-- cut: Nginx then asks another server. A write is left to wait, for nobody knows whether it was done.
local bit = require "bit"
local ffi = require "ffi"
local memory = require "balancer.memory"
local servers = require "balancer.servers"

ffi.cdef [[
typedef struct { uint16_t family; uint8_t port[2], address[4], zero[120]; } expressway_sockaddr;
int getpeername(int fd, void *address, unsigned int *size);
int getsockopt(int fd, int level, int name, void *value, unsigned int *size);
int shutdown(int fd, int how);
]]

local _M = {}

-- Seconds between looks; of silence until a server is probed, at each look; and until it is given up.
local EVERY, SUSPECT, GIVE_UP = 0.1, 0.3, 0.9
-- How long a probe is waited for, and how often a server that is aside is probed.
local PATIENCE, AGAIN = 0.6, 0.25
-- Of the servers, so many may be aside for silence, and always one: more are rather this machine's doing, or something
-- that they share, and repeating requests on the others would bring those down, too.
local SHARE = 1 / 3

local AF_INET, SHUT_BOTH = 2, 2
local IPPROTO_IP, BIND_ADDRESS_NO_PORT = 0, 24
local IPPROTO_TCP, TCP_INFO, ESTABLISHED = 6, 11, 1
-- The kernel's struct tcp_info, as numbers of four bytes: milliseconds since data was last sent, and last received.
local LAST_SENT, LAST_RECEIVED = 11, 13
-- File numbers are handed out from the lowest: after so many unused ones there are no more.
local UNUSED = 1024

-- Worker 0's, by slot: since when a server is silent, when it had last answered by then, whether it was given up for that,
-- and when it was last probed.
local quiet, answered, given_up, probed = {}, {}, {}, {}
-- This worker's, by slot.
local cut = {}

local function probe(premature, address, port, slot)
    if premature then
        return
    end
    local connection = ngx.socket.tcp()
    connection:settimeout(PATIENCE * 1000)
    -- The mark of what is not to be cut.
    connection:bind("0.0.0.0")
    if not connection:connect(address, port) then
        return
    end
    connection:send("EXPRESSWAY\r\n\r\n")
    local _, problem = connection:receive(1)
    connection:close()
    if problem ~= "timeout" then
        local server = memory.shared.servers[slot]
        server.answered_at = ngx.now()
        server.aside_since = 0
    end
end

local function ask(position, at, every)
    local slot = servers.slots[position]
    if at - (probed[slot] or 0) >= every then
        probed[slot] = at
        ngx.timer.at(0, probe, servers.addresses[position], servers.ports[position], slot)
    end
end

-- Whether one more may be given up, beside the others that are aside.
local function may_give_up(position)
    local others = 0
    for other = 1, servers.count do
        if other ~= position and memory.shared.servers[servers.slots[other]].aside_since > 0 then
            others = others + 1
        end
    end
    return servers.count > 1 and others < math.max(1, servers.count * SHARE)
end

local function look(at)
    for position = 1, servers.count do
        local slot = servers.slots[position]
        local server = memory.shared.servers[slot]
        if memory.in_flight(slot) == 0 then
            quiet[slot] = nil
        elseif not quiet[slot] or answered[slot] ~= server.answered_at then
            quiet[slot], answered[slot], given_up[slot] = at, server.answered_at, nil
        end
        local silent = quiet[slot] and at - quiet[slot] or 0
        if silent >= GIVE_UP and not given_up[slot] and may_give_up(position) then
            ngx.log(ngx.WARN, servers.addresses[position], " is silent: aside, and its GETs go to others")
            given_up[slot] = true
            memory.row[slot].connect_failures = memory.row[slot].connect_failures + 1
            -- It may be aside already, for a connection that was not answered.
            server.aside_since = server.aside_since > 0 and server.aside_since or at
            server.cuts = server.cuts + 1
        elseif server.aside_since > 0 then
            ask(position, at, AGAIN)
        elseif silent >= SUSPECT then
            ask(position, at, 0)
        end
    end
end

-- End the connections to a server on which this worker waits for the answer to a GET. Nginx takes it for the server's doing.
local function cut_waiting(address, port)
    local peer, size = ffi.new("expressway_sockaddr"), ffi.new("unsigned int[1]")
    local info, marked = ffi.new("uint32_t[64]"), ffi.new("int[1]")
    local unused, fd = 0, 0
    while unused < UNUSED do
        size[0] = ffi.sizeof(peer)
        if ffi.C.getpeername(fd, peer, size) == 0 then
            unused = 0
            local from = table.concat({ peer.address[0], peer.address[1], peer.address[2], peer.address[3] }, ".")
            if peer.family == AF_INET and from == address and peer.port[0] * 256 + peer.port[1] == port then
                size[0] = 4
                ffi.C.getsockopt(fd, IPPROTO_IP, BIND_ADDRESS_NO_PORT, marked, size)
                size[0] = ffi.sizeof(info)
                ffi.C.getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, size)
                -- One that is idle in the pool, or in the middle of an answer, has received after it sent.
                local waits = bit.band(info[0], 0xff) == ESTABLISHED and info[LAST_SENT] <= info[LAST_RECEIVED]
                if waits and marked[0] == 0 then
                    ffi.C.shutdown(fd, SHUT_BOTH)
                end
            end
        else
            unused = unused + 1
        end
        fd = fd + 1
    end
end

local function tick(premature)
    if premature then
        return
    end
    if memory.shared.version ~= servers.version then
        servers.load()
    end
    if ngx.worker.id() == 0 then
        look(ngx.now())
    end
    for position = 1, servers.count do
        local slot = servers.slots[position]
        local cuts = memory.shared.servers[slot].cuts
        if cuts > (cut[slot] or 0) then
            cut_waiting(servers.addresses[position], servers.ports[position])
        end
        cut[slot] = cuts
    end
end

function _M.start()
    for position = 1, servers.count do
        local slot = servers.slots[position]
        cut[slot] = memory.shared.servers[slot].cuts
    end
    assert(ngx.timer.every(EVERY, tick))
end

return _M
