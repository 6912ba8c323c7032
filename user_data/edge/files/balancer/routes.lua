-- Requests by the first part of their path: how they were answered, and how long that took, whichever server did it, or none.
--
-- A route has a slot; each worker counts in a row of its own, as for servers. There are a few routes only, since each is a
-- set of series for whoever keeps them. One gets its slot by an answer below 400, so that what scanners ask for takes none.
local memory = require "balancer.memory"

local _M = {}

local MOST, OTHER, LONGEST = 20, 0, 40

local dict = ngx.shared.balancer
local start_time, floor, bucket_of = ngx.req.start_time, math.floor, memory.bucket

-- By name, as far as this worker knows them; and whether there are as many as there may be.
local slots, full = {}, false
local row

function _M.start()
    row = memory.route_row
end

-- A slot for a new route, unless there are enough, or another worker has just found it one.
local function claim(name)
    return memory.locked(function()
        local slot, count = dict:get("route:" .. name), dict:get("routes") or 0
        if slot or count >= MOST then
            return slot
        end
        dict:set("routes", count + 1)
        dict:set("route_name:" .. count + 1, name)
        dict:set("route:" .. name, count + 1)
        return count + 1
    end)
end

local function find(name, status)
    local slot = slots[name]
    if slot then
        return slot
    end
    -- Numbers and files are as many as an app has of them.
    if #name > LONGEST or not name:find("^[%a_]?[%w_-]*$") or name:find("^%d") then
        return OTHER
    end
    slot = dict:get("route:" .. name)
    if not slot and status < 400 and not full then
        slot = claim(name)
        full = not slot
    end
    slots[name] = slot
    return slot or OTHER
end

-- The log's phase: the request is over, however it ended. `unsent`: no server was sent it.
function _M.count(status, at, unsent)
    -- A WebSocket has been more than an answer.
    if status < 200 or status >= 600 then
        return
    end
    -- No pattern: LuaJIT compiles none, nor then what is around it.
    local uri = ngx.var.uri
    local counts = row[find(uri:sub(2, (uri:find("/", 2, true) or 0) - 1), status)]
    local elapsed = at - start_time()
    local class, bucket = floor(status / 100), bucket_of(elapsed)
    counts.statuses[class] = counts.statuses[class] + 1
    if unsent and class == 5 then
        counts.own_errors = counts.own_errors + 1
    end
    counts.seconds = counts.seconds + elapsed
    counts.buckets[bucket] = counts.buckets[bucket] + 1
end

-- The routes' names by slot.
function _M.names()
    local found = { [OTHER] = "other" }
    for slot = 1, dict:get("routes") or 0 do
        found[slot] = "/" .. dict:get("route_name:" .. slot)
    end
    return found
end

return _M
