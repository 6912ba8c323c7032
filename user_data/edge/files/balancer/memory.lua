-- What the workers know together of the servers: plain memory that the master maps and each worker inherits.
--
-- A server has a slot. Each worker counts in a row of its own, so that no count needs a lock, and a sum over the rows is
-- what all workers have in flight. A row is one process's: what a killed worker had in flight goes with it.
local ffi = require "ffi"

ffi.cdef [[
typedef struct {
    double in_flight, requests, connect_failures, retries, seconds;
    double statuses[6];
    double buckets[12];
} expressway_counts;

typedef struct {
    double seconds, own_errors;
    double statuses[6];
    double buckets[12];
} expressway_route;

typedef struct {
    double new_since;    /* 0: was there when there was no other, no slow start */
    double answered_at;  /* a request, or a probe */
    double aside_since;  /* 0: it gets requests */
    double cuts;         /* how often its waiting connections were to be cut */
} expressway_server;

typedef struct {
    double version;      /* of the list of servers */
    double rows;         /* in use, or used before */
    expressway_server servers[1024];
    expressway_counts counts[128][1024];
    expressway_route routes[128][32];
} expressway_memory;

void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset);
int kill(int pid, int signal);
]]

local READ_WRITE, SHARED_ANONYMOUS_NORESERVE, NO_SUCH_PROCESS = 3, 0x4021, 3

local _M = { SLOTS = 1024, ROWS = 128 }

local dict = ngx.shared.balancer
local shared

-- In the master, before workers are forked. A reload finds the memory of the workers that go on until they are done.
function _M.map()
    local size = ffi.sizeof("expressway_memory")
    -- By its size: after a change of the layout, a reload must not read the old memory by the new one.
    local key = "memory:" .. size
    local address = dict:get(key)
    if not address then
        local pointer = ffi.C.mmap(nil, size, READ_WRITE, SHARED_ANONYMOUS_NORESERVE, -1, 0)
        address = tonumber(ffi.cast("uintptr_t", pointer))
        if ffi.cast("intptr_t", pointer) == -1 then
            error("no memory for the servers' counts: error " .. ffi.errno())
        end
        dict:set(key, address)
    end
    shared = ffi.cast("expressway_memory *", address)
    _M.shared = shared
end

local function is_dead(pid)
    return ffi.C.kill(pid, 0) ~= 0 and ffi.errno() == NO_SUCH_PROCESS
end

-- Run `act` while no other process does. Held for microseconds; a holder that was killed loses it.
function _M.locked(act)
    local pid = ngx.worker.pid()
    while not dict:add("lock", pid) do
        local holder = dict:get("lock")
        if holder and is_dead(holder) then
            dict:delete("lock")
        end
    end
    local ok, result, problem = pcall(act)
    dict:delete("lock")
    if not ok then
        error(result, 0)
    end
    return result, problem
end

local function forget_requests(row)
    for slot = 0, _M.SLOTS - 1 do
        -- Read first: a page that was never used stays unused.
        if shared.counts[row][slot].in_flight ~= 0 then
            shared.counts[row][slot].in_flight = 0
        end
    end
end

-- A row for this worker: one that nobody has, or that of a process that is gone, whose totals stay.
function _M.claim_row()
    _M.locked(function()
        for row = 0, _M.ROWS - 1 do
            local owner = dict:get("row:" .. row)
            if not owner or is_dead(owner) then
                dict:set("row:" .. row, ngx.worker.pid())
                forget_requests(row)
                shared.rows = math.max(shared.rows, row + 1)
                _M.row, _M.route_row = shared.counts[row], shared.routes[row]
                return
            end
        end
        error("more than " .. _M.ROWS .. " workers")
    end)
end

-- What workers that were killed, and that no new one has followed, had in flight.
function _M.sweep()
    _M.locked(function()
        for row = 0, shared.rows - 1 do
            local owner = dict:get("row:" .. row)
            if owner and is_dead(owner) then
                forget_requests(row)
            end
        end
    end)
end

function _M.in_flight(slot)
    local sum = 0
    for row = 0, shared.rows - 1 do
        sum = sum + shared.counts[row][slot].in_flight
    end
    return sum
end

-- Where an answer that took so many seconds is counted (api.lua has the bounds).
function _M.bucket(elapsed)
    return elapsed <= 0.1
            and (elapsed <= 0.025 and (elapsed <= 0.005 and 0 or elapsed <= 0.01 and 1 or 2) or elapsed <= 0.05 and 3 or 4)
        or (elapsed <= 1 and (elapsed <= 0.25 and 5 or elapsed <= 0.5 and 6 or 7)
            or elapsed <= 2.5 and 8 or elapsed <= 5 and 9 or elapsed <= 10 and 10 or 11)
end

-- Have what is known of the server in `slot` begin anew; its counts go on.
function _M.renew(slot, new_since)
    ffi.fill(shared.servers[slot], ffi.sizeof("expressway_server"))
    shared.servers[slot].new_since = new_since
end

-- The counts of `slot` are to be another server's.
function _M.clear(slot)
    for row = 0, shared.rows - 1 do
        ffi.fill(shared.counts[row][slot], ffi.sizeof("expressway_counts"))
    end
end

return _M
