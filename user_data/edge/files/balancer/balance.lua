-- Which server gets a request: of two drawn at random the one with fewer requests in flight.
--
-- What a server answers never counts against it. One that refuses or doesn't answer a connection is put aside, until it
-- answers a probe (watch.lua). A request whose connection failed was never sent, and goes to the next server; one that was
-- sent goes to one more, if Nginx may repeat it, and as long as repeats are few among all requests.
local ffi = require "ffi"
local balancer = require "ngx.balancer"
local base = require "resty.core.base"
local memory = require "balancer.memory"
local servers = require "balancer.servers"

local _M = {}

local STAND_IN = { "127.0.0.1", 8081 }
-- A new server's share grows over so many seconds, from this part of a full one.
local SLOW_START, FIRST_SHARE = 10, 0.1
-- Servers that a request may be refused by.
local MOST_TRIES = 5
-- Repeats of requests that were sent: each request earns a part of one, up to so many.
local REPEATS_EARNED, REPEATS_SAVED = 0.2, 100

local get_request, now, random = base.get_request, ngx.now, math.random
local in_flight, bucket_of = memory.in_flight, memory.bucket
local min, floor = math.min, math.floor
local set_current_peer, set_more_tries = balancer.set_current_peer, balancer.set_more_tries
local uintptr = ffi.typeof("uintptr_t")
local BUSY = -3

-- By request (its address in memory, until it is logged): the slot that has it, since when, and those that failed.
local held, since, tried = {}, {}, {}
local repeats = REPEATS_SAVED
local shared, row

-- In each worker, before its first request.
function _M.start()
    memory.claim_row()
    shared, row = memory.shared, memory.row
    math.randomseed(ngx.now() * 1000 + ngx.worker.pid())
    servers.load()
end

-- Whether a server may be asked: it isn't aside nor full, and if it is new, its growing share lets it.
local function may_serve(position, at, request)
    local slot = servers.slots[position]
    local server = shared.servers[slot]
    if server.aside_since > 0 then
        return false
    end
    local age = at - server.new_since
    if age < SLOW_START and random() > FIRST_SHARE + (1 - FIRST_SHARE) * age / SLOW_START then
        return false
    end
    local limit = servers.limits[position]
    if limit > 0 and in_flight(slot) >= limit then
        return false
    end
    local failed = tried[request]
    return not (failed and failed[slot])
end

-- The least loaded of all that may be asked at all, when the two that were drawn may not: a new one rather than one aside,
-- and one aside rather than none.
local function search(at, request)
    if servers.count == 0 then
        return nil
    end
    local best, best_load
    local failed, count = tried[request], servers.count
    local start = random(count)
    for step = 1, count do
        local position = (start + step) % count + 1
        local slot, limit = servers.slots[position], servers.limits[position]
        local load = in_flight(slot)
        if (limit == 0 or load < limit) and not (failed and failed[slot]) then
            if shared.servers[slot].aside_since > 0 then
                load = load + 1e6
            end
            if not best or load < best_load then
                best, best_load = position, load
            end
        end
    end
    return best
end

local function choose(at, request)
    local count = servers.count
    if count < 2 then
        return search(at, request)
    end
    local one = random(count)
    local other = random(count - 1)
    if other >= one then
        other = other + 1
    end
    local first, second = may_serve(one, at, request), may_serve(other, at, request)
    if first and second then
        return in_flight(servers.slots[other]) < in_flight(servers.slots[one]) and other or one
    end
    return first and one or second and other or search(at, request)
end

local function failed_to_connect(slot, at)
    row[slot].connect_failures = row[slot].connect_failures + 1
    local server = shared.servers[slot]
    if server.aside_since == 0 then
        server.aside_since = at
    end
end

-- Whether anything was sent in the last try that has ended. Nginx counts no bytes where a connection was refused or not
-- answered, and nothing yet for a try that is about to begin.
local function was_sent()
    local bytes
    for each in (ngx.var.upstream_bytes_sent or ""):gmatch("%d+") do
        bytes = each
    end
    return bytes ~= "0"
end

local function release(request, status, elapsed)
    local slot = held[request]
    held[request] = nil
    local counts = row[slot]
    counts.in_flight = counts.in_flight - 1
    -- A WebSocket has been more than an answer.
    if status >= 200 and status < 600 then
        local class = floor(status / 100)
        counts.statuses[class] = counts.statuses[class] + 1
        counts.seconds = counts.seconds + elapsed
        local bucket = bucket_of(elapsed)
        counts.buckets[bucket] = counts.buckets[bucket] + 1
    end
    return slot
end

-- Nginx asks again: may it, and what is known of the server that failed? Whether another one is to be asked.
local function retry(request, at)
    local began = since[request]
    local slot = held[request]
    local failed = tried[request] or { count = 0 }
    failed[slot], failed.count = true, failed.count + 1
    tried[request] = failed
    if not was_sent() then
        row[slot].in_flight = row[slot].in_flight - 1
        held[request] = nil
        failed_to_connect(slot, at)
        return failed.count < MOST_TRIES
    end
    local _, status = balancer.get_last_failure()
    release(request, status or 502, at - began)
    failed.sent = true
    if failed.count > 1 or repeats < 1 then
        return false
    end
    repeats = repeats - 1
    return true
end

-- The balancer's phase: once for each try of a request.
function _M.balance()
    local request = tonumber(ffi.cast(uintptr, get_request()))
    local at = now()
    if shared.version ~= servers.version then
        servers.load()
    end
    local may_go_on = true
    if held[request] then
        may_go_on = retry(request, at)
    else
        repeats = min(repeats + REPEATS_EARNED, REPEATS_SAVED)
    end
    local chosen = may_go_on and choose(at, request)
    if not chosen then
        if tried[request] and tried[request].sent then
            return ngx.exit(BUSY)
        end
        -- Nothing was sent to anybody.
        return set_current_peer(STAND_IN[1], STAND_IN[2])
    end
    local slot = servers.slots[chosen]
    local counts = row[slot]
    held[request], since[request] = slot, at
    counts.in_flight, counts.requests = counts.in_flight + 1, counts.requests + 1
    if tried[request] then
        counts.retries = counts.retries + 1
    end
    set_more_tries(1)
    set_current_peer(servers.addresses[chosen], servers.ports[chosen])
end

-- The log's phase: the request is over, however it ended. Whether no server was sent it, so that an error is the edge's own.
function _M.done(status, at)
    local request = tonumber(ffi.cast(uintptr, get_request()))
    local failed = tried[request]
    local sent = failed and failed.sent
    tried[request] = nil
    if not held[request] then
        return not sent
    end
    -- Nginx' own, for want of a connection to ask with, or as none was made: it is no answer of the server's.
    local unasked = (status == 500 or status == 502 or status == 504) and not was_sent()
    local slot = release(request, unasked and 0 or status, at - since[request])
    since[request] = nil
    if not unasked then
        shared.servers[slot].answered_at = at
        return false
    end
    -- For want of a connection says nothing of the server.
    if status ~= 500 then
        failed_to_connect(slot, at)
    end
    return not sent
end

-- Where repeating is safe (GET, HEAD), a connection may be cut while the answer is waited for. The others bear a mark that
-- watch.lua can read: they were bound, to no address in particular.
function _M.balance_writes()
    balancer.bind_to_local_addr("0.0.0.0")
    _M.balance()
end

return _M
